package cli

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
)

// lookUp is how long the outgoing servers of all addresses are looked for. The
// built-in table of providers answers at once.
const lookUp = 15 * time.Second

// mailbox is what mail clients are told of one login. Where neither user nor device
// is named there has to be one user only, with one device at most. A device that may
// come from the local network is told of the server there, while that runs, unless it
// is for a program on this machine (here).
func (a *app) mailbox(ctx context.Context, user, device string, here bool) (m clientfiles.Mailbox, err error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return m, err
	}
	var listen, network []string
	err = a.with(ctx, func(ops operations.Operations) error {
		devices, err := ops.Devices(ctx)
		if err != nil {
			return err
		}
		if m.User, m.Device, err = a.chooseDevice(cfg, devices, user, device); err != nil {
			return err
		}
		s, err := ops.Status(ctx)
		listen = s.Listen
		if !here && slices.ContainsFunc(devices, func(d operations.Device) bool { return d.User == m.User && d.Name == m.Device && d.LAN }) {
			network = s.LAN.Listen
		}
		return err
	})
	if err != nil {
		return m, err
	}
	if len(listen) == 0 {
		listen = cfg.IMAP.Listen
	}
	m.TLS, m.CAFile = imapSecurity(cfg.IMAP), agent.AuthorityFile(cfg.DataDir)
	if len(network) > 0 {
		listen, m.TLS, m.CAFile = network, discover.Implicit, agent.LANAuthorityFile(cfg.DataDir)
	}
	if m.Host, m.Port = programsAddress(listen); m.Port == 0 {
		return m, fault.New(fault.Config, "the port of the IMAP server is not known before popbridge runs", "start it: "+a.command("run"))
	}
	if m.TLS == discover.None {
		m.CAFile = ""
	} else {
		ca, err := agent.ReadAuthority(cfg, m.CAFile)
		if err == nil && ca == nil {
			err = fault.New(fault.Config, "popbridge has not made its certificate yet", "it does when it runs for the first time: "+a.command("run"))
		}
		if err != nil {
			return m, err
		}
		m.Authority = ca.Raw
	}
	m.Identities = a.identities(ctx, cfg, m.User)
	return m, nil
}

// imapSecurity is the security of the IMAP server as mail clients have it.
func imapSecurity(imap config.IMAP) discover.Security {
	if imap.TLS == config.Off {
		return discover.None
	}
	return discover.Security(imap.TLS)
}

// programsAddress is the address for the programs of this machine: a loopback one, else
// the first.
func programsAddress(listen []string) (host string, port int) {
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
func (a *app) chooseDevice(cfg *config.Config, devices []operations.Device, user, name string) (string, string, error) {
	var found, others []string
	users := map[string]bool{}
	for _, d := range devices {
		if (user == "" || d.User == user) && (name == "" || d.Name == name) {
			found = append(found, d.Name)
			users[d.User] = true
		}
		others = append(others, d.User+"/"+d.Name)
	}
	if name == "" {
		for _, account := range cfg.Accounts {
			if user == "" || account.User == user {
				users[account.User] = true
			}
		}
	}
	all := "there are: " + strings.Join(others, ", ")
	if len(others) == 0 {
		all = "there is none yet"
	}
	switch {
	case name != "" && len(found) == 0:
		return "", "", fault.New(fault.NotFound, "there is no device "+fault.Quote(name)+"; "+all, "`"+a.command("device add "+fault.ShellQuote(name))+"` makes it")
	case len(users) == 0 && user != "":
		return "", "", fault.New(fault.NotFound, "there is no user "+fault.Quote(user), "`"+a.command("user list")+"` shows them all")
	case len(users) == 0:
		return "", "", fault.New(fault.Config, "there is no mailbox yet", "set one up: "+a.command("setup"))
	case len(users) > 1:
		names := make([]string, 0, len(users))
		for u := range users {
			names = append(names, u)
		}
		slices.Sort(names)
		return "", "", fault.New(fault.Config, "there are several users: "+strings.Join(names, ", ")+"; devices: "+all, "name one: --user USER, or --device NAME")
	case len(found) > 1:
		return "", "", fault.New(fault.Config, "there are several devices; "+all, "name one: --device NAME")
	}
	for u := range users {
		user = u
	}
	return user, strings.Join(found, ""), nil
}

// identities are the mail addresses of the accounts of a user, with what is found of
// their outgoing servers. A look-up that fails, or is too slow, leaves it unknown.
func (a *app) identities(ctx context.Context, cfg *config.Config, user string) []clientfiles.Identity {
	ctx, cancel := context.WithTimeout(ctx, lookUp)
	defer cancel()
	var list []clientfiles.Identity
	for _, account := range cfg.Accounts {
		address := addressOf(account)
		if account.User != user || address == "" || slices.ContainsFunc(list, func(i clientfiles.Identity) bool { return i.Address == address }) {
			continue
		}
		found, _ := discover.Discover(ctx, address, discover.Options{}) // what is not found is said where it is missing
		list = append(list, clientfiles.Identity{Address: address, SMTP: found.SMTP})
	}
	return list
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
