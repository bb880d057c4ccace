package operations

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/internal/secret"
)

// file is the config that is changed. The agent reads what it writes, so it hands nothing
// over.
func (l *Local) file() editing.File { return editing.File{Path: l.users.Config().Path} }

// edit is the one change of the config and of passwords that runs. Where the file is not
// there, which a command would make anew, all accounts would be gone with it.
func (l *Local) edit(change func(editing.File) error) error {
	l.edits.Lock()
	defer l.edits.Unlock()
	if _, err := os.Lstat(l.file().Path); err != nil {
		return fault.Wrap(err, fault.Config, "the config file is not there, so nothing was changed", "put it back: "+l.file().Path)
	}
	return change(l.file())
}

func (l *Local) Discover(ctx context.Context, ask Address, progress func(Progress)) ([]Discovered, error) {
	cfg, err := l.file().Writable()
	if err != nil {
		return nil, err
	}
	text := ask.Address
	address, err := discover.ParseAddress(text)
	if err == nil {
		text = address.String()
	} else if !ask.ByHand {
		return nil, err
	}
	if known, there := cfg.Account(editing.AccountName(text)); there && !ask.Known || ask.ByHand {
		return []Discovered{{Address: text, Account: known.Name, Doubts: []Doubt{}, Advice: advice(discover.Advice{})}}, nil
	}
	found, err := discover.Discover(ctx, ask.Address, discover.Options{Progress: func(s discover.Step) {
		progress(Progress{Step: s.Kind, Asked: s.Asked, Answer: s.Answer})
	}})
	if err != nil {
		return nil, err
	}
	answer := Discovered{Address: found.Address.String(), Provider: found.Provider, POP: server(found.POP), SMTP: server(found.SMTP),
		OtherUsername: found.OtherUsername, OAuth2Only: found.POP.OAuth2Only(), TokenProvider: oauth.ProviderOf(found.POP.Host), Doubts: []Doubt{}, Advice: advice(found.Advice)}
	answer.OAuth = clientOf(cfg, answer.TokenProvider)
	for _, d := range found.Doubts() {
		answer.Doubts = append(answer.Doubts, Doubt(d))
	}
	return []Discovered{answer}, nil
}

func server(s discover.Server) MailServer {
	return MailServer{Host: s.Host, Port: s.Port, TLS: string(s.TLS), Username: s.Username}
}

func serverOf(s MailServer) discover.Server {
	return discover.Server{Host: s.Host, Port: s.Port, TLS: discover.Security(s.TLS), Username: s.Username}
}

func advice(a discover.Advice) Advice {
	answer := Advice{Provider: a.Provider, Needs: [][]string{}, EnableURL: a.EnableURL, HelpURLs: append([]string{}, a.HelpURLs...),
		MinInterval: a.MinInterval.Seconds(), Note: a.Note}
	for _, one := range a.Needs {
		var list []string
		for _, need := range one {
			list = append(list, string(need))
		}
		answer.Needs = append(answer.Needs, list)
	}
	return answer
}

// planned is the account that is asked for, with the settings that are to be written.
func (l *Local) planned(ask NewAccount) (next config.Account, settings []config.Setting, known discover.Advice, err error) {
	s := ask.Server
	address := cmp.Or(ask.Address, s.Username)
	if a, err := discover.ParseAddress(address); err == nil { // as Discover looks for it
		address = a.String()
	}
	known, _ = discover.AdviceFor(address, s.Host)
	m := editing.Mailbox{Name: editing.AccountName(address), POP: serverOf(s), SMTP: serverOf(ask.SMTP), Advice: known, SignsIn: ask.OAuth}
	if ask.Address != "" {
		m.Address = address
	}
	settings = m.New()
	if ask.Keep != "" {
		settings = append(settings, config.Text("keep_on_server", ask.Keep))
	}
	if ask.OAuth {
		cfg, err := l.file().Writable()
		if err != nil {
			return next, nil, known, err
		}
		name, err := clientFor(cfg, s)
		if err != nil {
			return next, nil, known, err
		}
		settings = append(settings, config.Text("auth", string(config.AuthOAuth2)), config.Text("oauth", name))
	}
	next, err = l.file().Planned(settings)
	return next, settings, known, err
}

func (l *Local) TryAccount(ctx context.Context, ask NewAccount) (Tried, error) {
	next, _, known, err := l.planned(ask)
	answer := Tried{Username: ask.Server.Username, Advice: advice(known), Probe: Probe{Warnings: []string{}}}
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 {
		return answer, err
	}
	if answer.Wrong = wrongPassword(ask.Password); len(answer.Wrong) > 0 {
		return answer, nil
	}
	answer.Probe, answer.Username = TryEither(ctx, next, ask.OtherUsername, ask.Password)
	if answer.Error != "" && answer.Pin != "" {
		answer.Command = l.addPinned(ask.Address, next, answer.Pin)
	}
	return answer, ctx.Err()
}

// addPinned is the command that adds an account whose server only its key vouches for: that
// is for a person who knows it, at a terminal. What a provider has named is quoted in it.
func (l *Local) addPinned(address string, c config.Account, pin string) string {
	words := []string{"account", "add", "--address", address, "--host", c.Host, "--port", strconv.Itoa(c.Port), "--tls", string(c.TLS), "--username", c.Username, "tls_pin=" + pin}
	for i, w := range words {
		words[i] = fault.ShellQuote(w)
	}
	return l.users.Command(strings.Join(words, " "))
}

func (l *Local) AddAccount(ctx context.Context, ask NewAccount) (answer AddedAccount, err error) {
	next, settings, _, err := l.planned(ask)
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 {
		return answer, err
	}
	if !next.SignsInToFetch() {
		if answer.Wrong = wrongPassword(ask.Password); len(answer.Wrong) > 0 {
			return answer, nil
		}
	}
	var where editing.Stored
	if err := l.edit(func(f editing.File) error {
		if _, err := f.Planned(settings); err != nil { // it may be there meanwhile
			return err
		}
		where, err = f.Add(ctx, next, ask.Password, settings)
		return err
	}); err != nil {
		return answer, err
	}
	answer.Account, answer.User, answer.Password = next.Name, next.User, "file"
	if where.Keychain {
		answer.Password = "keychain"
	} else if next.SignsInToFetch() {
		answer.Password = "signin"
	}
	l.takeUp(ctx)
	return answer, nil
}

func wrongPassword(s secret.Secret) []Wrong {
	if err := secret.Check(s); err != nil {
		return []Wrong{{Key: "password", Text: err.Error(), Hint: fault.Hint(err)}}
	}
	return []Wrong{}
}

// wrong takes the problems of a text that was not written out of an error.
func wrong(err error) ([]Wrong, error) {
	list := []Wrong{}
	found, ok := errors.AsType[*config.Errors](err)
	if !ok || found.File != "" {
		return list, err
	}
	for _, p := range found.Problems {
		list = append(list, Wrong{p.Key, p.Text, p.Hint})
	}
	return list, nil
}

func (l *Local) MakeFirstDevice(ctx context.Context, ask DeviceOf) (answer FirstDevice, err error) {
	if ask.User == "" {
		return answer, fault.New(fault.Config, "it is not said which user the login is for, so none was made", "name the user of the new account, or add a device on the page Devices")
	}
	listen := l.clients.Listening()
	if len(listen) == 0 {
		return answer, fault.New(fault.Config, "the IMAP server does not run now, so no mail program could connect, and no login was made",
			"what stops it: "+l.users.Command("status"))
	}
	host, port := ProgramsAddress(listen)
	answer.Server = MailServer{Host: host, Port: port, TLS: string(IMAPSecurity(l.users.Config().IMAP)), Username: ask.User}
	submit := HereSubmission(l.users.Config())
	if now := l.clients.Submission(); len(now) > 0 { // else it begins with the account
		submit.Listen = now
	}
	for _, account := range l.users.Config().Accounts {
		if own, ok := submit.Sender(account); ok && account.User == ask.User {
			answer.Outgoing = server(own)
		}
	}
	answer.Name, answer.Password, err = AddFirstDevice(ctx, l, ask.User)
	return answer, err
}

// FirstDeviceName is how lists name the login that comes with the first account.
const FirstDeviceName = "Mail program"

// AddFirstDevice makes the login of a mail program, unless the user has one: then both are
// empty.
func AddFirstDevice(ctx context.Context, ops People, user string) (name, made string, err error) {
	devices, err := ops.Devices(ctx)
	if err != nil {
		return "", "", err
	}
	for _, d := range devices {
		if d.User == user {
			return "", "", nil
		}
	}
	made = password.New()
	_, err = ops.AddDevice(ctx, AddDevice{User: user, Name: FirstDeviceName, Password: made, Generated: true})
	return FirstDeviceName, made, err
}
