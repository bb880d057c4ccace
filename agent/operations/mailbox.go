package operations

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/sending"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
)

// lookUp is how long the outgoing servers of all addresses are looked for. The
// built-in table of providers answers at once.
const lookUp = 15 * time.Second

// LoginQuery says which login is meant. Where neither user nor device is named there
// has to be one user only, with one device at most.
type LoginQuery struct {
	User, Device string
	Here         bool                     // it is for a program on this machine
	Command      func(rest string) string // a command of popbridge, as hints name it
}

// A Login is a login of a mail client, and where it connects to.
type Login struct {
	User, Device string // the device is empty where the user has none

	listen  []string
	network bool // listen are those of the local network
	submit  Submission
	command func(rest string) string
}

// FindLogin finds a login. A device that may come from the local network is told of the
// server there, while that runs, unless it is for a program on this machine.
func FindLogin(ctx context.Context, ops Operations, cfg *config.Config, q LoginQuery) (Login, error) {
	l := Login{command: q.Command}
	devices, err := ops.Devices(ctx)
	if err != nil {
		return l, err
	}
	if l.User, l.Device, err = chooseDevice(cfg, devices, q); err != nil {
		return l, err
	}
	s, err := ops.Status(ctx)
	l.listen = s.Listen
	if d := slices.IndexFunc(devices, func(d Device) bool { return d.User == l.User && d.Name == l.Device }); d < 0 || devices[d].Send {
		l.submit = Submission{s.SMTP, programsSecurity(cfg.SMTP.TLS)}
		if !s.Running {
			l.submit.Listen = cfg.SMTP.Listen
		}
	}
	isLAN := slices.ContainsFunc(devices, func(d Device) bool { return d.User == l.User && d.Name == l.Device && d.LAN })
	if isLAN && !q.Here && len(s.LAN.Listen) > 0 {
		l.listen, l.network = s.LAN.Listen, true
		if l.submit.TLS != "" {
			l.submit = s.LAN.submission(true)
		}
	}
	return l, err
}

// Mailbox is what mail clients are told of the login. The outgoing servers of its mail
// addresses are looked for.
func (l Login) Mailbox(ctx context.Context, cfg *config.Config) (clientfiles.Mailbox, error) {
	m, err := l.incoming(ctx, cfg)
	if err == nil {
		m.Identities = Identities(ctx, cfg, m.User, l.submit)
	}
	return m, err
}

// incoming is Mailbox without mail addresses and their outgoing servers.
func (l Login) incoming(_ context.Context, cfg *config.Config) (clientfiles.Mailbox, error) {
	m := clientfiles.Mailbox{User: l.User, Device: l.Device, TLS: IMAPSecurity(cfg.IMAP), CAFile: datadir.AuthorityFile(cfg.DataDir)}
	listen := l.listen
	if len(listen) == 0 {
		listen = cfg.IMAP.Listen
	}
	if l.network {
		m.TLS, m.CAFile = discover.Implicit, datadir.LANAuthorityFile(cfg.DataDir)
	}
	if m.Host, m.Port = ProgramsAddress(listen); m.Port == 0 {
		return m, fault.New(fault.Config, "the port of the IMAP server is not known before popbridge runs", "start it: "+l.command("run"))
	}
	if m.TLS == discover.None {
		m.CAFile = ""
	} else {
		ca, err := datadir.ReadAuthority(cfg.DataDir, m.CAFile)
		if err == nil && ca == nil {
			err = fault.New(fault.Config, "popbridge has not made its certificate yet", "it does when it runs for the first time: "+l.command("run"))
		}
		if err != nil {
			return m, err
		}
		m.Authority = ca.Raw
	}
	return m, nil
}

// IMAPSecurity is the security of the IMAP server as mail clients have it.
func IMAPSecurity(imap config.IMAP) discover.Security { return programsSecurity(imap.TLS) }

// programsSecurity is the security of a server of popbridge as mail clients have it.
func programsSecurity(s config.Security) discover.Security {
	if s == config.Off {
		return discover.None
	}
	return discover.Security(s)
}

// ProgramsAddress is the address for the programs of this machine: a loopback one, else
// the first.
func ProgramsAddress(listen []string) (host string, port int) {
	best := slices.IndexFunc(listen, func(addr string) bool {
		host, _, _ := net.SplitHostPort(addr)
		return clientfiles.Mailbox{Host: host}.Loopback()
	})
	host, text, _ := net.SplitHostPort(listen[max(best, 0)])
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

// chooseDevice finds the device of that name, or the only one. A user without a device
// is fine: the device is empty.
func chooseDevice(cfg *config.Config, devices []Device, q LoginQuery) (user, device string, err error) {
	var found, others []string
	users := map[string]bool{}
	for _, d := range devices {
		if (q.User == "" || d.User == q.User) && (q.Device == "" || d.Name == q.Device) {
			found = append(found, d.Name)
			users[d.User] = true
		}
		others = append(others, d.User+"/"+d.Name)
	}
	if q.Device == "" {
		for _, account := range cfg.Accounts {
			if q.User == "" || account.User == q.User {
				users[account.User] = true
			}
		}
	}
	all := "there are: " + strings.Join(others, ", ")
	if len(others) == 0 {
		all = "there is none yet"
	}
	switch {
	case q.Device != "" && len(found) == 0:
		return "", "", fault.New(fault.NotFound, "there is no device "+fault.Quote(q.Device)+"; "+all, "`"+q.Command("device add "+fault.ShellQuote(q.Device))+"` makes it")
	case len(users) == 0 && q.User != "":
		return "", "", fault.New(fault.NotFound, "there is no user "+fault.Quote(q.User), "`"+q.Command("user list")+"` shows them all")
	case len(users) == 0:
		return "", "", fault.New(fault.Config, "there is no mailbox yet", "set one up: "+q.Command("setup"))
	case len(users) > 1:
		names := make([]string, 0, len(users))
		for u := range users {
			names = append(names, u)
		}
		slices.Sort(names)
		return "", "", fault.New(fault.Config, "there are several users: "+strings.Join(names, ", ")+"; devices: "+all, "name one: --user USER, or --device NAME")
	case len(found) > 1:
		return "", "", fault.New(fault.Config, "there are several devices: "+strings.Join(others, ", "), "name one: --device NAME")
	}
	for u := range users {
		user = u
	}
	return user, strings.Join(found, ""), nil
}

// Identities are the mail addresses of the accounts of a user, with the servers for what
// is sent from them: popbridge where it takes that at one of these addresses, else that of
// the provider. A look-up that fails, or is too slow, leaves it unknown.
func Identities(ctx context.Context, cfg *config.Config, user string, submit Submission) []clientfiles.Identity {
	ctx, cancel := context.WithTimeout(ctx, lookUp)
	defer cancel()
	var list []clientfiles.Identity
	has := func(address string) bool {
		return slices.ContainsFunc(list, func(i clientfiles.Identity) bool { return strings.EqualFold(i.Address, address) })
	}
	for _, account := range cfg.Accounts {
		if own, ok := submit.Sender(account); ok && account.User == user {
			for _, address := range account.Addresses {
				if !has(address) {
					list = append(list, clientfiles.Identity{Address: address, SMTP: own, Here: true})
				}
			}
			continue
		}
		address := addressOf(account)
		if account.User != user || address == "" || has(address) {
			continue
		}
		found, _ := discover.Discover(ctx, address, discover.Options{}) // what is not found is said where it is missing
		list = append(list, clientfiles.Identity{Address: address, SMTP: AtProvider(account, found.SMTP)})
	}
	return list
}

// AtProvider is the outgoing server of a provider as a mail program has to use it itself:
// where the account is signed in to send, there is no password that the program could be given.
func AtProvider(account config.Account, found discover.Server) discover.Server {
	if account.SignsInToSend() {
		found.Auth = []discover.Auth{discover.OAuth2}
	}
	return found
}

// Submission is where popbridge takes what a mail program sends.
type Submission struct {
	Listen []string          // none: it does not
	TLS    discover.Security // "": the program may not send
}

// HereSubmission is that of this machine, by the config.
func HereSubmission(cfg *config.Config) Submission {
	return Submission{cfg.SMTP.Listen, programsSecurity(cfg.SMTP.TLS)}
}

// submission is that of the local network, for a device that may send or may not.
func (s LAN) submission(may bool) Submission {
	if !may {
		return Submission{}
	}
	return Submission{s.SMTP, discover.Implicit}
}

// LANIdentities are Identities for a device of the local network.
func LANIdentities(ctx context.Context, cfg *config.Config, d Device, s LAN) []clientfiles.Identity {
	return Identities(ctx, cfg, d.User, s.submission(d.Send))
}

// Sender is popbridge as the server for what is sent from the addresses of an account, where
// it takes that and knows how it leaves.
func (s Submission) Sender(account config.Account) (own discover.Server, ok bool) {
	if _, ok := sending.WayOf(account); !ok || len(account.Addresses) == 0 || len(s.Listen) == 0 {
		return own, false
	}
	own = discover.Server{TLS: s.TLS, Username: account.User}
	own.Host, own.Port = ProgramsAddress(s.Listen)
	return own, own.Port != 0
}

// addressOf is the mail address of an account: its name, as setup and account add make
// it, or its user name; empty where neither is one.
func addressOf(account config.Account) string {
	for _, text := range []string{account.Username, account.Name} {
		if a, err := discover.ParseAddress(text); err == nil && (text == account.Name || editing.AccountName(text) == account.Name || !isAddress(account.Name)) {
			return a.String()
		}
	}
	return ""
}

func isAddress(s string) bool {
	_, err := discover.ParseAddress(s)
	return err == nil
}
