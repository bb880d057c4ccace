package clientfiles

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
)

// passwordFile is where the config files look for the password of the device.
const passwordFile = "~/.popbridge-password"

// heading is the first lines of a config file. It has no value, which a comment could
// not quote.
func heading(program, place string) string {
	return fmt.Sprintf("# A mailbox of popbridge, for %s: %s.\n# The password of the login is not in here: put it into %s (chmod 600), or name a\n# command of your password manager instead.\n", program, place, passwordFile)
}

// neomutt is a neomuttrc. A person who leaves out imap_pass is asked for it.
func (m Mailbox) neomutt() string {
	var b strings.Builder
	b.WriteString(heading("neomutt", "~/.config/neomutt/neomuttrc, or a file that it sources"))
	scheme, starttls := "imap", "no"
	switch m.TLS {
	case discover.Implicit:
		scheme = "imaps"
	case discover.StartTLS:
		starttls = "yes"
	}
	fmt.Fprintf(&b, "set imap_user = %s\nset imap_pass = \"`cat %s`\"\nset folder = \"%s://%s/\"\n", muttQuote(m.User), passwordFile, scheme, m.addr())
	b.WriteString("set spool_file = \"+INBOX\"\nset record = \"+Sent\"\nset postponed = \"+Drafts\"\nset trash = \"+Trash\"\n")
	if m.TLS == discover.None {
		b.WriteString("set ssl_starttls = no\nset ssl_force_tls = no\n")
	} else {
		fmt.Fprintf(&b, "set ssl_starttls = %s\nset ssl_force_tls = yes\nset certificate_file = %s\n", starttls, muttQuote(m.CAFile))
	}
	for i, id := range m.Identities {
		mark := ""
		if i > 0 {
			fmt.Fprintf(&b, "# To write from %s:\n", id.Address)
			mark = "# "
		}
		fmt.Fprintf(&b, "%sset from = %s\n", mark, muttQuote(id.Address))
		if id.SMTP.Known() {
			fmt.Fprintf(&b, "%sset smtp_url = %s\n", mark, muttQuote(smtpURL(id.SMTP, "smtps", "smtp")))
		}
		if id.Here {
			fmt.Fprintf(&b, "%sset smtp_pass = \"`cat %s`\"\n", mark, passwordFile)
		}
	}
	return b.String()
}

// muttQuote writes a string of neomutt, in which nothing is expanded.
func muttQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(s) + `"`
}

// smtpURL is an SMTP server as a URL with the user name in it.
func smtpURL(s discover.Server, implicit, other string) string {
	u := url.URL{Scheme: other, Host: net.JoinHostPort(s.Host, strconv.Itoa(s.Port))}
	if s.TLS == discover.Implicit {
		u.Scheme = implicit
	}
	if s.Username != "" {
		u.User = url.User(s.Username)
	}
	return u.String()
}

// aerc is a section of aerc's accounts.conf. It reads no authority itself: the
// environment names one.
func (m Mailbox) aerc() string {
	var b strings.Builder
	b.WriteString(heading("aerc", "~/.config/aerc/accounts.conf, which aerc wants with mode 600"))
	if m.TLS != discover.None {
		fmt.Fprintf(&b, "# Start it with the authority in the environment:\n#   SSL_CERT_FILE=%s aerc\n", fault.ShellQuote(m.CAFile))
	}
	scheme := map[discover.Security]string{discover.Implicit: "imaps", discover.StartTLS: "imap", discover.None: "imap+insecure"}[m.TLS]
	source := url.URL{Scheme: scheme, User: url.User(m.User), Host: m.addr()}
	fmt.Fprintf(&b, "[popbridge]\nsource          = %s\nsource-cred-cmd = cat %s\n", aercValue(source.String()), passwordFile)
	if m.address() == "" { // aerc does not start without one
		b.WriteString("# Your mail address:\nfrom            = <you@example.com>\n")
	} else {
		fmt.Fprintf(&b, "from            = %s\n", aercValue("<"+m.address()+">"))
		if smtp := m.Identities[0].SMTP; smtp.Known() {
			scheme := "smtp"
			if smtp.TLS == discover.None {
				scheme = "smtp+insecure"
			}
			fmt.Fprintf(&b, "outgoing        = %s\n", aercValue(smtpURL(smtp, "smtps", scheme)))
			switch m.Identities[0].Secret() {
			case SecretLogin:
				fmt.Fprintf(&b, "outgoing-cred-cmd = cat %s\n", passwordFile)
			case SecretToken:
				b.WriteString("# The provider takes no password, but a token: aerc-accounts(5) says how, by +oauthbearer.\n")
			default:
				b.WriteString("# outgoing-cred-cmd prints the password of the mailbox at the provider.\n# outgoing-cred-cmd = cat ~/.provider-password\n")
			}
		}
	}
	b.WriteString("default         = INBOX\narchive         = Archive\ncopy-to         = Sent\npostpone        = Drafts\n")
	return b.String()
}

// aercValue writes a value for aerc's parser (go-ini), in which # and ; begin a comment
// unless the value is between backquotes.
func aercValue(s string) string {
	if strings.ContainsAny(s, "#;") && !strings.Contains(s, "`") {
		return "`" + s + "`"
	}
	return s
}

// mbsync is a whole mbsyncrc, for a Maildir in ~/Mail. mbsync compares the certificate
// with names only, so the loopback address is localhost.
func (m Mailbox) mbsync() string {
	host := m.Host
	if m.Loopback() {
		host = "localhost"
	}
	security := map[discover.Security]string{discover.Implicit: "IMAPS", discover.StartTLS: "STARTTLS", discover.None: "None"}[m.TLS]
	var b strings.Builder
	b.WriteString(heading("mbsync", "~/.mbsyncrc. The folder ~/Mail has to exist; `mbsync popbridge` copies both ways"))
	fmt.Fprintf(&b, "IMAPAccount popbridge\nHost %s\nPort %d\nUser %s\nPassCmd \"cat %s\"\nSSLType %s\n", host, m.Port, mbsyncQuote(m.User), passwordFile, security)
	if m.TLS != discover.None {
		fmt.Fprintf(&b, "CertificateFile %s\n", mbsyncQuote(m.CAFile))
	}
	b.WriteString(`
IMAPStore popbridge-far
Account popbridge

MaildirStore popbridge-near
Path ~/Mail/
Inbox ~/Mail/INBOX
SubFolders Verbatim

Channel popbridge
Far :popbridge-far:
Near :popbridge-near:
Patterns *
Create Both
Expunge Both
SyncState *
`)
	return b.String()
}

func mbsyncQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// offlineimap is a whole offlineimaprc, for a Maildir in ~/OfflineMail.
func (m Mailbox) offlineimap() string {
	yes := map[bool]string{true: "yes", false: "no"}
	var b strings.Builder
	b.WriteString(heading("offlineimap", "~/.offlineimaprc, for a Maildir in ~/OfflineMail"))
	fmt.Fprintf(&b, `[general]
accounts = popbridge

[Account popbridge]
localrepository  = popbridge-near
remoterepository = popbridge-far

[Repository popbridge-near]
type         = Maildir
localfolders = ~/OfflineMail

[Repository popbridge-far]
type           = IMAP
remotehost     = %s
remoteport     = %d
remoteuser     = %s
remotepassfile = %s
ssl            = %s
starttls       = %s
`, m.Host, m.Port, iniValue(m.User), passwordFile, yes[m.TLS == discover.Implicit], yes[m.TLS == discover.StartTLS])
	if m.TLS != discover.None {
		fmt.Fprintf(&b, "sslcacertfile  = %s\n", iniValue(m.CAFile))
	}
	return b.String()
}

// iniValue writes a value for Python's configparser, which interpolates after %.
func iniValue(s string) string { return strings.ReplaceAll(s, "%", "%%") }
