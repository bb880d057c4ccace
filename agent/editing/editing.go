// Package editing changes the accounts of a config file, and stores their passwords.
//
// What always holds: a config is checked as a whole before it is written, and what is in
// it stays as it was (config.Edit); no password is in it; the password of a new account is
// stored before the account is written.
package editing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/secret"
)

// File is a config that is changed.
type File struct {
	Path string
	// Owner is the user as whom the service runs with this config, where that is not this
	// user; else "". What is written has to be readable by that one.
	Owner string
	// HandOver gives the owner what was written: the password file, "" for none, and the
	// config where that is new. Nil: there is nothing to do.
	HandOver func(passwordFile string, isNew bool) error
}

// Writable reports why no account can be added, before anything is asked.
func (f File) Writable() (*config.Config, error) {
	return config.Plan(f.Path, func(text []byte) ([]byte, error) { return config.AddAccount(text, nil) })
}

// Planned is an account of these settings as it would be in the config.
func (f File) Planned(settings []config.Setting) (next config.Account, err error) {
	cfg, err := config.Plan(f.Path, func(text []byte) ([]byte, error) { return config.AddAccount(text, settings) })
	if err == nil {
		next = cfg.Accounts[len(cfg.Accounts)-1]
	}
	return next, err
}

// Add stores the password of an account that was planned with these settings, and writes
// it into the config.
func (f File) Add(ctx context.Context, next config.Account, password secret.Secret, settings []config.Setting) (where Stored, err error) {
	if !next.SignsInToFetch() && next.Password.InKeychain() {
		if where, err = f.store(ctx, next, password); err != nil {
			return where, err
		}
		if where.File != "" {
			settings = append(settings, config.Text("password_file", filepath.Base(where.File)))
		}
	}
	_, missing := os.Lstat(f.Path)
	_, err = config.Edit(f.Path, func(text []byte) ([]byte, error) { return config.AddAccount(text, settings) })
	if err == nil && f.HandOver != nil {
		err = f.HandOver(where.File, missing != nil)
	}
	if err != nil && where.File != "" && !f.usesPasswordFile(where.File, "") { // another command may have been faster
		err = errors.Join(err, os.Remove(where.File))
	}
	return where, err
}

// Change changes an account of the config, by whatever case its name was given.
func (f File) Change(name string, settings []config.Setting) (before, after config.Account, err error) {
	return f.change(config.Edit, name, settings)
}

// PlanChange is Change that writes nothing.
func (f File) PlanChange(name string, settings []config.Setting) (before, after config.Account, err error) {
	return f.change(config.Plan, name, settings)
}

func (f File) change(write func(string, func([]byte) ([]byte, error)) (*config.Config, error), name string, settings []config.Setting) (before, after config.Account, err error) {
	before, _, err = f.Account(name)
	if err != nil {
		return before, after, err
	}
	name = before.Name
	cfg, err := write(f.Path, func(text []byte) ([]byte, error) { return config.SetAccount(text, name, settings) })
	for _, s := range settings {
		if s.Key == "name" {
			name = s.Unquoted()
		}
	}
	if err == nil { // its place may be another one since
		after, _ = cfg.Account(name)
	}
	return before, after, err
}

// ChangeUser gives all accounts of a user to another one.
func (f File) ChangeUser(from, to string) error {
	cfg, err := config.Load(f.Path)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range cfg.Accounts {
		if c.User == from {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, err = config.Edit(f.Path, func(text []byte) ([]byte, error) {
		for _, name := range names {
			if text, err = config.SetAccount(text, name, []config.Setting{config.Text("user", to)}); err != nil {
				return nil, err
			}
		}
		return text, nil
	})
	return err
}

// Remove takes an account out of the config, and returns what it was.
func (f File) Remove(name string) (config.Account, error) {
	before, _, err := f.Account(name)
	if err == nil {
		_, err = config.Edit(f.Path, func(text []byte) ([]byte, error) { return config.RemoveAccount(text, before.Name) })
	}
	return before, err
}

// Account is an account of the config, by its name in any case, and its place there.
func (f File) Account(name string) (account config.Account, at int, err error) {
	cfg, err := config.Load(f.Path)
	if err == nil {
		at, err = Index(cfg, name)
	}
	if err == nil {
		account = cfg.Accounts[at]
	}
	return account, at, err
}

// Index is the place of an account in the config, by its name in any case.
func Index(cfg *config.Config, name string) (int, error) {
	var names []string
	for i, c := range cfg.Accounts {
		if strings.EqualFold(c.Name, name) {
			return i, nil
		}
		names = append(names, c.Name)
	}
	return 0, fault.New(fault.NotFound, "there is no account "+fault.Quote(name)+" in the config", config.DidYouMean(name, names)+"`popbridge account list` shows them")
}

// A Mailbox is what a new account is of, as it was found.
type Mailbox struct {
	Name    string          // of the account
	Address string          // "": not known
	POP     discover.Server // with the user name that was tried
	SMTP    discover.Server // zero: not known
	Advice  discover.Advice
	SignsIn bool // with a token, which only servers of its provider may get
}

// New are the settings of a new account. Its outgoing server is named where it is not the
// one that is known of its provider, or mail from there could not leave. One without
// encryption is not: its password would be read by others.
func (m Mailbox) New() []config.Setting {
	list := []config.Setting{config.Text("name", m.Name), config.Text("host", m.POP.Host),
		number("port", m.POP.Port), config.Text("tls", string(m.POP.TLS)), config.Text("username", m.POP.Username)}
	if m.Advice.MinInterval > 0 { // the provider wants that it is not asked too often
		list = append(list, config.Text("poll_every", Duration(m.Advice.MinInterval)))
	}
	return append(list, m.Sending()...)
}

func number(key string, n int) config.Setting {
	return config.Setting{Key: key, Value: strconv.Itoa(n)}
}

// Sending are the settings without which what the account sends could not leave.
func (m Mailbox) Sending() (list []config.Setting) {
	if m.Address != "" && !strings.EqualFold(m.Address, m.POP.Username) && config.IsAddress(m.Address) {
		list = append(list, config.Text("address", m.Address))
	}
	s := m.SMTP
	if _, known := discover.SenderFor(m.POP.Username, m.POP.Host); known || !s.Known() || s.TLS == discover.None {
		return list
	}
	if provider := oauth.ProviderOf(s.Host); m.SignsIn && (provider == "" || provider != oauth.ProviderOf(m.POP.Host)) {
		return list
	}
	list = append(list, config.Text("send.host", s.Host), number("send.port", s.Port), config.Text("send.tls", string(s.TLS)))
	if s.Username != "" && s.Username != m.POP.Username {
		list = append(list, config.Text("send.username", s.Username))
	}
	return list
}

// AccountName makes the name of an account of an address: what a name may not have
// becomes a hyphen. Where that leaves something out, a part of a hash tells the address from
// others; upper and lower case are the same.
func AccountName(address string) string {
	const longest, hashed = 64, 6
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@+", r) {
			return r
		}
		return '-'
	}, address)
	if name = strings.Trim(name, ".-"); name == address && len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(strings.ToLower(address)))
	return name[:min(len(name), longest-hashed-1)] + "-" + hex.EncodeToString(sum[:])[:hashed]
}

// Duration writes a duration as the config has it.
func Duration(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
