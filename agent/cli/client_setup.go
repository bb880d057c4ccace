package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/thunderbird"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// clientSetup is what the flags ask for.
type clientSetup struct {
	user, device string
	out          string // the folder for files
	thunderbird  string // a profile; defaultProfile is the one Thunderbird starts with
}

const defaultProfile = "default"

func (a *app) newClientSetupCommand() *cobra.Command {
	var s clientSetup
	c := a.addJSON(&cobra.Command{
		Use:   "client-setup",
		Short: "Print what to enter in a mail program, or set one up",
		Long: "Prints what to enter in a mail program: the IMAP server of popbridge, and for each\n" +
			"mail address the SMTP server, which is popbridge itself where it can send from that,\n" +
			"else that of the provider. With --thunderbird it adds the account to Thunderbird,\n" +
			"which has to be closed meanwhile; with --out it writes files for mail programs, and\n" +
			"a page to print. No password is in any of them.",
		Example: "  popbridge client-setup\n  popbridge client-setup --thunderbird\n  popbridge client-setup --device laptop --out mail-clients",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.clientSetup(c.Context(), s) },
	})
	c.Flags().StringVar(&s.user, "user", "", "the `USER` whose mail it is; may be left out when there is one only")
	c.Flags().StringVar(&s.device, "device", "", "the `NAME` of the login; may be left out when there is one only")
	c.Flags().StringVar(&s.out, "out", "", "write files for mail programs into `DIR`, which is made")
	c.Flags().StringVar(&s.thunderbird, "thunderbird", "", "add the account to Thunderbird: to the `PROFILE` in this folder, or to its usual one")
	c.Flags().Lookup("thunderbird").NoOptDefVal = defaultProfile
	return c
}

func (a *app) clientSetup(ctx context.Context, s clientSetup) error {
	m, err := a.mailbox(ctx, s.user, s.device, s.thunderbird != "")
	if err != nil {
		return err
	}
	report := clientReport(m)
	if s.thunderbird != "" {
		if report.Thunderbird, err = a.setUpThunderbird(ctx, s.thunderbird, m); err != nil {
			return err
		}
	}
	if s.out != "" {
		if report.Files, err = a.writeClientFiles(s.out, m); err != nil {
			return err
		}
	}
	switch {
	case a.json:
		return a.printJSON(report)
	case s.thunderbird == "" && s.out == "":
		a.printClientValues(m)
	}
	return nil
}

// printClientValues prints what to enter, and how it is done without typing.
func (a *app) printClientValues(m clientfiles.Mailbox) {
	a.printf("%s", m.Values(a.passwordWords(m.Device)))
	if m.CAFile != "" {
		a.printf("The authority of its certificate: %s\n", m.CAFile)
	}
	a.printf("%s", a.otherWays())
	if m.Loopback() {
		a.printf("A phone cannot reach %s; in your network, where the config has [lan]: %s\n", m.Host, a.command("device add NAME --lan"))
		return
	}
	code, err := m.AndroidQR()
	if err == nil {
		a.printf("Thunderbird for Android and K-9: Settings, Import settings, Scan QR code\n")
		err = a.printQR(code)
	}
	if err != nil {
		a.printf("%s\n", sentences(err))
	}
}

// otherWays says how a mail client is set up without typing.
func (a *app) otherWays() string {
	return fmt.Sprintf("\nThunderbird on this computer: close it, then %s\nFiles for other programs, and a page to print: %s\n",
		a.command("client-setup --thunderbird"), a.command("client-setup --out DIR"))
}

func (a *app) passwordWords(device string) string {
	if device == "" {
		return "none yet: `" + a.command("device add NAME") + "` makes a login"
	}
	return "that of the login " + fault.Quote(device) + ", shown once when it was made; `" + a.command("device add NAME") + "` makes another one"
}

// setUpThunderbird adds the account to a profile, and returns its folder.
func (a *app) setUpThunderbird(ctx context.Context, profile string, m clientfiles.Mailbox) (string, error) {
	find := thunderbird.Default
	if profile != defaultProfile {
		find = func() (thunderbird.Profile, error) { return thunderbird.At(profile) }
	}
	p, err := find()
	if err != nil {
		return "", err
	}
	change, err := p.Plan(m)
	if err != nil {
		return "", err
	}
	if !a.json {
		a.sayChange(p, change, m)
	}
	if err := p.Add(change); err != nil {
		return "", err
	}
	if !a.json && !change.There {
		a.sayAdded(m, change)
	}
	return p.Dir, nil
}

// sayChange says what is going to be changed.
func (a *app) sayChange(p thunderbird.Profile, change thunderbird.Change, m clientfiles.Mailbox) {
	switch {
	case change.There:
		a.printf("Thunderbird has the account already, in the profile %s. Nothing was changed.\n", p.Dir)
	case !change.New:
		a.printf("Thunderbird has the account, in the profile %s. It is brought up to date: server %s, port %d, and the mail addresses that it lacks.\n", p.Dir, m.Host, m.Port)
	default:
		a.printf("The account of user %s is added to Thunderbird, in the profile %s.\n", m.User, p.Dir)
	}
	for _, id := range m.Identities {
		if !id.SMTP.Known() && change.New {
			a.printf("  %s: its SMTP server is not known; ask your provider, and enter it in Thunderbird: Account Settings, Outgoing Server\n", id.Address)
		}
	}
	for _, name := range change.POP {
		a.printf("  Thunderbird also fetches mail by POP3, from %s. Where popbridge does that now, remove that account there: two programs that delete on one server miss mail.\n", name)
	}
}

func (a *app) sayAdded(m clientfiles.Mailbox, change thunderbird.Change) {
	if change.Copy != "" {
		a.printf("What it was before is in %s. To undo this, remove the account in Thunderbird.\n", change.Copy)
	}
	a.printf("Start Thunderbird. It asks for the password of the login, which is %s.\n", a.passwordWords(m.Device))
	if m.CAFile != "" {
		a.printf("So that it asks nothing about the certificate: %s\n", a.command("trust install"))
	}
}

// writeClientFiles writes all files into a folder, and returns their paths.
func (a *app) writeClientFiles(dir string, m clientfiles.Mailbox) ([]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Config, "the folder for the files cannot be made", "name another one with --out")
	}
	var paths []string
	for _, f := range m.Files(time.Now().Format("2 January 2006")) {
		path := filepath.Join(dir, f.Name)
		if err := atomicfile.Write(path, 0o600, f.Data); err != nil {
			return nil, fault.Wrap(err, fault.Config, "the file "+path+" cannot be written", "name another folder with --out")
		}
		paths = append(paths, path)
		if !a.json {
			a.printf("%s\n  %s\n", path, f.For)
		}
	}
	if !a.json {
		a.printf("The password is in none of them: %s.\n", a.passwordWords(m.Device))
	}
	return paths, nil
}

// The answer with --json.
type (
	clientJSON struct {
		User        string         `json:"user"`
		Device      string         `json:"device"` // "" where there is none
		Incoming    serverJSON     `json:"incoming"`
		Identities  []identityJSON `json:"identities"`
		Authority   string         `json:"authority"`   // the path; "" without TLS
		Thunderbird string         `json:"thunderbird"` // the profile; "" where it was not asked for
		Files       []string       `json:"files"`
	}
	identityJSON struct {
		Address  string      `json:"address"`
		Outgoing *serverJSON `json:"outgoing"` // null where it is not known
	}
	serverJSON struct {
		Host     string `json:"host"`
		Port     int    `json:"port"`
		Security string `json:"security"` // "implicit", "starttls" or "none"
		Username string `json:"username"`
	}
)

func clientReport(m clientfiles.Mailbox) clientJSON {
	r := clientJSON{User: m.User, Device: m.Device, Authority: m.CAFile, Identities: []identityJSON{}, Files: []string{},
		Incoming: serverJSON{m.Host, m.Port, string(m.TLS), m.User}}
	for _, id := range m.Identities {
		one := identityJSON{Address: id.Address}
		if s := id.SMTP; s.Known() {
			one.Outgoing = &serverJSON{s.Host, s.Port, string(s.TLS), s.Username}
		}
		r.Identities = append(r.Identities, one)
	}
	return r
}
