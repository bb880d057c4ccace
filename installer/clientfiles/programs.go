package clientfiles

import (
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// Program is a mail client and how it is set up.
type Program struct {
	Name  string
	Tried string   // the version that the tests of popbridge run; empty where they do not
	Part  string   // what of it they run; empty where it is the program as a person has it
	Steps []string // what a person does, in order
	Files []string // the names of files that go with it
}

// tried is the version of each program that the tests run, with these values;
// docs/clients.md has the same.
var tried = map[string]string{
	"Thunderbird": "153.7.0esr",
	"Evolution":   "3.46.4",
	"KMail":       "22.12.3",
	"neomutt":     "20220429",
	"aerc":        "0.14.0",
	"mbsync":      "1.4.4",
	"offlineimap": "8.0.0",
}

// inPart is what the tests run of a program where it is not all of it.
var inPart = map[string]string{
	"Evolution": "the code that speaks IMAP, not its windows",
	"KMail":     "the code that speaks IMAP, not its windows",
}

// Programs lists the programs that there are steps for.
func (m Mailbox) Programs() []Program {
	list := append(m.desktopPrograms(), m.phonePrograms()...)
	list = append(list, m.terminalPrograms()...)
	for i := range list {
		list[i].Tried, list[i].Part = tried[list[i].Name], inPart[list[i].Name]
	}
	return list
}

// server says what to enter as the incoming server.
func (m Mailbox) server() string {
	return fmt.Sprintf("incoming server IMAP, %s, port %d, security %s, user name %s, password of the login", m.Host, m.Port, SecurityWords(m.TLS), m.User)
}

func (m Mailbox) desktopPrograms() []Program {
	thunderbird := Program{Name: "Thunderbird", Steps: []string{
		"Close Thunderbird.",
		"Run `popbridge client-setup --thunderbird`: it adds the account to the profile of Thunderbird.",
		"Start Thunderbird and enter the password of the login when it asks.",
	}}
	if domains := m.domains(); len(domains) > 0 {
		for _, domain := range domains {
			thunderbird.Files = append(thunderbird.Files, domain+".xml")
		}
		files := strings.Join(thunderbird.Files, " ")
		thunderbird.Steps = append(thunderbird.Steps, "Or, to use Thunderbird's own dialogue: copy "+files+" into the folder isp of its program folder (Debian: `sudo install -m 644 "+files+" /usr/lib/thunderbird/isp/`). It then finds popbridge for addresses of "+strings.Join(domains, ", ")+". Remove the files to undo this.")
	}
	apple := Program{Name: "Apple Mail", Files: []string{profileFile}, Steps: []string{
		"Open " + profileFile + ", then System Settings, General, Device Management: install the profile.",
		"Enter the password of the login when it asks for that of the incoming server" + map[string]string{
			SecretLogin:   "; the outgoing server takes the same.",
			SecretMailbox: ", and the password of the mailbox at the provider for the outgoing server.",
			SecretToken:   ". The outgoing server takes no password: Mail has to be signed in at the provider, as an account of that provider.",
		}[m.appleSecret()],
	}}
	if !m.HasMail() {
		apple.Steps = []string{
			"Open " + profileFile + ", then System Settings, General, Device Management: install the profile. It has the certificate only, because no outgoing server is known.",
			"In Mail: Add Account, Other Mail Account, and enter: " + m.server() + ".",
		}
	}
	outlook := Program{Name: "Outlook for Windows (classic)", Files: m.caFiles(), Steps: []string{
		"Double-click " + caFile + ", Install Certificate, Current User, and place it in Trusted Root Certification Authorities.",
		"In Outlook: File, Add Account, Let me set up my account manually, IMAP.",
		"Enter: " + m.server() + ".",
	}}
	return []Program{thunderbird, apple, outlook,
		{Name: "Outlook (new), Outlook for Mac with cloud sync", Steps: []string{"These connect from Microsoft's servers, which cannot reach this computer. Use another program."}},
		{Name: "Evolution", Files: m.caFiles(), Steps: []string{
			"Edit, Accounts, Add, Mail Account; enter name and address, and skip the look-up.",
			"Receiving Email: enter " + m.server() + ".",
			"When it shows the certificate: Accept Permanently.",
		}},
		{Name: "KMail", Files: m.caFiles(), Steps: []string{
			"Settings, Configure KMail, Accounts, Receiving, Add, IMAP E-Mail Server.",
			"Enter " + m.server() + "; security and port are on the tab Advanced.",
			"When it asks about the certificate: Continue, Forever.",
		}},
	}
}

// phonePrograms: a phone is another machine.
func (m Mailbox) phonePrograms() []Program {
	unreachable := []string{"A phone cannot reach " + m.Host + ", which is this computer only. Where the config has [lan], `popbridge device add NAME --lan` makes a login for it, and shows a page that sets it up."}
	android := []string{"Settings of Android, Security, Encryption and credentials, Install a certificate, CA certificate: " + caFile + ".", "Add the account by hand: " + m.server() + "."}
	k9 := Program{Name: "K-9 and Thunderbird for Android", Files: m.caFiles(), Steps: android}
	fair := Program{Name: "FairEmail", Files: m.caFiles(), Steps: android}
	ios := Program{Name: "Mail on iPhone and iPad", Files: []string{profileFile}, Steps: []string{
		"Send " + profileFile + " to the phone and open it, then Settings, General, VPN and Device Management: install the profile.",
		"Settings, General, About, Certificate Trust Settings: switch the authority of popbridge on.",
	}}
	list := []Program{k9, fair, ios}
	if m.Loopback() {
		for i := range list {
			list[i].Steps, list[i].Files = unreachable, nil
		}
	}
	return list
}

func (m Mailbox) terminalPrograms() []Program {
	password := "Write the password of the login into " + passwordFile + ", and `chmod 600 " + passwordFile + "`."
	aercSteps := []string{password, "Add " + aercFile + " to ~/.config/aerc/accounts.conf, and `chmod 600` that."}
	if m.Authority != nil {
		aercSteps = append(aercSteps, "Start it with SSL_CERT_FILE="+fault.ShellQuote(m.CAFile)+" in the environment.")
	}
	return []Program{
		{Name: "neomutt", Files: []string{neomuttFile}, Steps: []string{password, "Add " + neomuttFile + " to ~/.config/neomutt/neomuttrc."}},
		{Name: "aerc", Files: []string{aercFile}, Steps: aercSteps},
		{Name: "mbsync", Files: []string{mbsyncFile}, Steps: []string{password, "Add " + mbsyncFile + " to ~/.mbsyncrc, make the folder ~/Mail, and run `mbsync popbridge`."}},
		{Name: "offlineimap", Files: []string{offlineimapFile}, Steps: []string{password, "Make " + offlineimapFile + " your ~/.offlineimaprc, and run `offlineimap`."}},
	}
}

// The names of the files.
const (
	profileFile     = "popbridge.mobileconfig"
	pageFile        = "popbridge.html"
	caFile          = "popbridge-ca.crt"
	neomuttFile     = "popbridge.neomuttrc"
	aercFile        = "popbridge.aerc.conf"
	mbsyncFile      = "popbridge.mbsyncrc"
	offlineimapFile = "popbridge.offlineimaprc"
)

func (m Mailbox) caFiles() []string {
	if m.Authority == nil {
		return nil
	}
	return []string{caFile}
}

// File is a file for a mail client.
type File struct {
	Name string // without a folder
	For  string // what it is for
	Data []byte
}

// Files are all files for the mailbox. day is printed on the page.
func (m Mailbox) Files(day string) []File {
	files := []File{
		{pageFile, "a page to print: all values, and the steps for each program", m.Page(day)},
		{profileFile, m.profileFor(), m.MobileConfig()},
	}
	for _, domain := range m.domains() {
		files = append(files, File{domain + ".xml", "Thunderbird's own dialogue, for addresses of " + domain + ": copy it into the folder isp of its program folder", m.Autoconfig(domain)})
	}
	if m.Authority != nil {
		files = append(files, File{caFile, "the certificate of the authority, for programs that have to import it", authorityPEM(m.Authority)})
	}
	for _, f := range []struct{ name, program, text string }{
		{neomuttFile, "neomutt", m.neomutt()}, {aercFile, "aerc", m.aerc()}, {mbsyncFile, "mbsync", m.mbsync()}, {offlineimapFile, "offlineimap", m.offlineimap()},
	} {
		files = append(files, File{f.name, f.program + ": its first lines say where it belongs", []byte(f.text)})
	}
	return files
}

func (m Mailbox) profileFor() string {
	text := "Apple Mail, iPhone and iPad: open it to install it"
	if m.Loopback() {
		text = "Apple Mail on this computer: open it to install it"
	}
	if !m.HasMail() {
		text += "; it has the certificate only, as no outgoing server is known"
	}
	return text
}

// code splits a step into text and what is between backquotes.
func code(step string) []string { return strings.Split(step, "`") }
