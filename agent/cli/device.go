package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/internal/textfile"
)

func (a *app) newDeviceCommand() *cobra.Command {
	return parentOf("device", "Manage the logins of mail programs",
		"Every mail program logs in with the user of its accounts and a password of its\n"+
			"own, which can be revoked without touching the others.",
		a.newDeviceAddCommand(), a.newDeviceSetCommand(), a.newDeviceListCommand(), a.newDevicePasswordCommand(), a.newDeviceRevokeCommand())
}

func (a *app) newDeviceAddCommand() *cobra.Command {
	var d operations.AddDevice
	var fromStdin bool
	var send yesNo
	c := a.addJSON(&cobra.Command{
		Use:   "add NAME",
		Short: "Let a mail program log in; prints its password once",
		Long: "Lets a mail program log in, and prints its password once. With --folder it sees\n" +
			"those folders only, which have to exist, under whatever name they get later; its\n" +
			"INBOX is empty then, unless that is one of them. Trash, Sent and Drafts have to be\n" +
			"named as well where the client is to use them. With --lan it may come from the\n" +
			"local network, where the config has [lan]; a link and a QR code lead a phone to a page\n" +
			"with what it needs.",
		Example: "  popbridge device add laptop --user ann\n  popbridge device add kids --folder Family --read-only\n  popbridge device add phone --lan\n" +
			"  pwgen 20 1 | popbridge device add tablet --password-stdin",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d.Name, d.Send = args[0], send.chosen
			return a.deviceAdd(c.Context(), d, fromStdin)
		},
	})
	c.Flags().StringVar(&d.User, "user", "", "the `USER` whose mail it sees; may be left out when there is one only")
	c.Flags().BoolVar(&d.ReadOnly, "read-only", false, "let it read and change nothing")
	c.Flags().StringArrayVar(&d.Folders, "folder", nil, "let it see this `FOLDER` and those below only; may be given several times")
	c.Flags().StringSliceVar(&d.Without, "without", nil, "switch an IMAP `CAPABILITY` off that its client cannot cope with")
	c.Flags().Var(&send, "send", "yes or no: whether it may send mail (default: unless --read-only or --folder)")
	c.Flags().BoolVar(&d.LAN, "lan", false, "let it in from the local network, too, and show a page that sets a phone up")
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "take the password from standard input instead of making one")
	return c
}

func (a *app) newDeviceListCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use:     "list",
		Short:   "List the logins of mail programs",
		Example: "  popbridge device list",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.deviceList(c.Context()) },
	})
}

func (a *app) newDevicePasswordCommand() *cobra.Command {
	var ask operations.DeviceLogin
	c := a.addJSON(&cobra.Command{
		Use:   "password NAME",
		Short: "Make a new password for a mail program; prints it once",
		Long: "Makes a password in place of the one that a mail program has, which is lost or known\n" +
			"to others, and prints it once. The program is disconnected, and comes back with the\n" +
			"new password only. What it may do and see stays.",
		Example: "  popbridge device password laptop",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ask.Device = args[0]
			return a.with(c.Context(), func(ops operations.Operations) error {
				made, err := ops.NewPassword(c.Context(), ask)
				switch {
				case made.Password == "":
					return err
				case a.json:
					return errors.Join(err, a.printJSON(map[string]any{"user": made.User, "name": made.Name, "password": made.Password}))
				}
				a.printf("device %s of user %s has a new password\npassword: %s\nIt is shown this once only.\n", made.Name, made.User, made.Password)
				return err
			})
		},
	})
	c.Flags().StringVar(&ask.User, "user", "", "the `USER` it belongs to, when several have one of that name")
	return c
}

func (a *app) newDeviceRevokeCommand() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "End the login of a mail program",
		Example: "  popbridge device revoke laptop",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), func(ops operations.Operations) error {
				if err := ops.RevokeDevice(c.Context(), user, args[0]); err != nil {
					return err
				}
				a.printf("device %s can no longer log in\n", args[0])
				return nil
			})
		},
	}
	c.Flags().StringVar(&user, "user", "", "the `USER` it belongs to, when several have one of that name")
	return c
}

func (a *app) deviceAdd(ctx context.Context, d operations.AddDevice, fromStdin bool) error {
	if err := checkUTF8(d.Name); err != nil {
		return err
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	switch {
	case d.LAN && fromStdin:
		return fault.New(fault.Config, "a password that is given is none for the local network, where others can guess it", "leave --password-stdin out: popbridge makes a good one")
	case d.LAN:
		err = operations.LANIsOn(cfg)
	}
	if err != nil {
		return err
	}
	if d.Password = password.New(); fromStdin {
		if d.Password, err = readPassword(a.stdin, maxPassword, "it is one line, as in: pwgen 20 1 | popbridge device add NAME --password-stdin"); err != nil {
			return err
		}
	}
	d.Generated = !fromStdin
	short := utf8.RuneCountInString(d.Password) < shortPassword
	if short && a.interactive() {
		return fault.New(fault.Config, fmt.Sprintf("the password is shorter than %d characters", shortPassword),
			"leave --password-stdin out: popbridge makes a good one")
	}
	added, err := ask(ctx, a, operations.Operations.AddDevice, d)
	if err != nil {
		return err
	}
	if short {
		a.complain("warning", fmt.Sprintf("the password is shorter than %d characters and can be guessed: any program on this machine may try; "+
			"leave --password-stdin out and popbridge makes a good one", shortPassword))
	}
	var page *operations.Pairing
	if d.LAN {
		page = a.pair(ctx, cfg, added)
	}
	if a.json {
		out := map[string]any{"user": added.User, "name": added.Name, "read_only": added.ReadOnly,
			"folders": added.Folders, "without": added.Without, "lan": added.LAN, "send": added.Send}
		if !fromStdin {
			out["password"] = d.Password
		}
		if page != nil {
			out["pairing"] = page
		}
		return a.printJSON(out)
	}
	a.printf("device %s can log in as user %s\n", added.Name, added.User)
	if !fromStdin {
		a.printf("password: %s\nIt is shown this once only.\n", d.Password)
	}
	if !d.LAN {
		a.printf("%s\n", connection(cfg.IMAP))
	}
	a.printf("%s", a.maySend(cfg, added))
	a.printPairing(page)
	return nil
}

// connection is what a mail client is told, beside user and password.
func connection(imap config.IMAP) string {
	host, port := operations.ProgramsAddress(imap.Listen)
	return fmt.Sprintf("Mail programs connect with IMAP to %s, port %d, security %s.", host, port, clientfiles.SecurityWords(operations.IMAPSecurity(imap)))
}

// maySend is a line that says whether a device may send through popbridge, and where; ""
// where no account of its user does. Where one of the local network sends is said with
// the page for a phone.
func (a *app) maySend(cfg *config.Config, d operations.Device) string {
	for _, account := range cfg.Accounts {
		own, ok := operations.HereSubmission(cfg).Sender(account)
		switch {
		case account.User != d.User || !ok:
		case !d.Send:
			return fmt.Sprintf("It may not send through popbridge; to permit it: %s\n", a.command("device set "+fault.ShellQuote(d.Name)+" --send=yes"))
		case !d.LAN:
			return fmt.Sprintf("It may send: SMTP, server %s, port %d, security %s, with the same password.\n", own.Host, own.Port, clientfiles.SecurityWords(own.TLS))
		}
	}
	return ""
}

func (a *app) deviceList(ctx context.Context) error {
	return a.with(ctx, func(ops operations.Operations) error {
		devices, err := ops.Devices(ctx)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.printJSON(devices)
		case len(devices) == 0:
			a.printf("no mail program can log in yet; add one with: %s\n", a.command("device add NAME"))
			return nil
		}
		now := time.Now()
		var t table
		t.row("USER", "DEVICE", "MAY", "SEES", "FROM", "WITHOUT", "ADDED", "LAST USED", "CONNECTED")
		for _, d := range devices {
			may, sees, from := "read, write", "all", "here"
			if d.ReadOnly {
				may = "read"
			}
			if d.Send {
				may += ", send"
			}
			if d.Folders != nil {
				sees = orDash(d.Folders)
			}
			if d.LAN {
				from = "here, LAN"
			}
			t.row(d.User, d.Name, may, sees, from, orDash(d.Without), when(&d.CreatedAt, now, ""), lastUsed(d, now), connections(d, now))
		}
		return t.print(a.stdout)
	})
}

// lastUsed says when a device has logged in, which is kept to the hour.
func lastUsed(d operations.Device, now time.Time) string {
	if at := d.LastUsedAt; at != nil && now.Sub(*at) < time.Hour {
		return "in the last hour"
	}
	return when(d.LastUsedAt, now, "never")
}

// connections says how often and since when a device is connected.
func connections(d operations.Device, now time.Time) string {
	if d.Connections == 0 {
		return "-"
	}
	return fmt.Sprintf("%d since %s%s", d.Connections, when(d.ConnectedSince, now, ""), named(d.Programs))
}

// named adds what programs call themselves.
func named(programs []string) string {
	if len(programs) == 0 {
		return ""
	}
	return " (" + strings.Join(programs, ", ") + ")"
}

func orDash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

const (
	shortPassword = 12   // characters; shorter ones are refused from a person and warned about in a script
	maxPassword   = 1000 // bytes
)

// readPassword takes one line, of limit octets at most. A password that is a file of
// several lines is a mistake. give says how a password is given.
func readPassword(r io.Reader, limit int, give string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(2*limit)+8)) // it may be UTF-16
	if text, ok := textfile.Decode(b); ok {
		b = text
	}
	if err != nil {
		return "", fmt.Errorf("read password from standard input: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case password == "":
		return "", fault.New(fault.Config, "the password from standard input is empty", give)
	case len(password) > limit:
		return "", fault.New(fault.Config, fmt.Sprintf("the password is longer than %d bytes", limit), "choose a shorter one")
	case strings.ContainsAny(password, "\r\n\x00"):
		return "", fault.New(fault.Config, "the password has more than one line", give)
	case !utf8.ValidString(password):
		return "", fault.New(fault.Config, "the password from standard input is not UTF-8 text", "give it in UTF-8, as with: iconv -f LATIN1 -t UTF-8")
	}
	return password, nil
}
