package operations

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strconv"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/sending"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// sends is by which server an account sends.
func sends(c config.Account) (s SendsBy) {
	s.Shared = []SharedAddress{}
	switch {
	case len(c.Send.Password.Command) > 0:
		s.Password = "command"
	case c.Send.Password.File != "":
		s.Password = "file"
	}
	if c.Send.Host != "" {
		s.Server = wayTo(c)
		c.Send = config.Send{}
	}
	s.Found = wayTo(c)
	return s
}

func wayTo(c config.Account) (s MailServer) {
	if way, ok := sending.WayOf(c); ok {
		s = MailServer{Host: way.Host, Port: way.Port, TLS: string(way.TLS), Username: way.Username}
	}
	return s
}

// addresses are the keys address and addresses of an account, as the config has them.
func addresses(c config.Account) (address, others string) {
	if len(c.Addresses) == 0 {
		return "", ""
	}
	if len(c.Addresses) > 1 {
		list, _ := json.Marshal(c.Addresses[1:]) // of strings it cannot fail
		others = string(list)
	}
	return c.Addresses[0], others
}

func (l *Local) SetSending(ctx context.Context, ask SetSending) (answer TriedSending, err error) {
	answer.Wrong = []Wrong{}
	entered := ask.Server.Host != "" // and then the password as well: what is stored goes to no server that a page names
	before, _, err := l.file().Account(ask.Account)
	if err == nil {
		err = l.sendingReplaceable(before, entered && !ask.Own)
	}
	if err != nil {
		return answer, err
	}
	if entered {
		if answer.Wrong = wrongPassword(ask.Password); len(answer.Wrong) > 0 {
			return answer, nil
		}
	}
	list := changedSending(before, ask)
	planned := list
	if entered && ask.Own {
		planned = append(slices.Clone(list), config.Text("send.password_file", "new"))
	}
	_, after, err := l.file().PlanChange(before.Name, planned)
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 {
		return answer, err
	}
	if answer.SendProbe, answer.Refused = l.trySending(ctx, after, ask); answer.Error != "" {
		return answer, ctx.Err()
	}
	if err := l.edit(func(f editing.File) error {
		if err := still(f, before); err != nil {
			return err
		}
		if entered && ask.Own {
			return f.ChangeSending(before, list, ask.Password)
		}
		if entered { // before the server, which the password of before must not be sent
			if _, err := f.Replace(ctx, before, ask.Password); err != nil {
				return err
			}
		}
		return f.ChangeSending(before, list, "")
	}); err != nil {
		return answer, err
	}
	l.takeUp(ctx)
	return answer, nil
}

// sendingReplaceable reports why the outgoing server of an account, and the password there,
// cannot be changed.
func (l *Local) sendingReplaceable(c config.Account, shared bool) error {
	if command := c.Send.Password.Command; len(command) > 0 {
		return fault.New(fault.Conflict, "the password for sending of account "+c.Name+" is what a command prints", "change it where the command takes it from: "+fault.Quote(command[0]))
	}
	if shared {
		return l.file().Replaceable(c)
	}
	return nil
}

// changedSending are the settings that make the outgoing server of an account another. A
// password of its own goes, as a new one gets a new file.
func changedSending(c config.Account, ask SetSending) []config.Setting {
	s := ask.Server
	if s.Host == "" {
		list := []config.Setting{{Key: "send.host"}, {Key: "send.port"}, {Key: "send.tls"}, {Key: "send.username"}, {Key: "send.tls_pin"}, {Key: "send.password_file"}}
		found := c
		found.Send.Host = ""
		if way, _ := sending.WayOf(found); !c.SignsInToSend() || !c.TokenFor(way) {
			list = append(list, config.Setting{Key: "send.auth"}, config.Setting{Key: "send.oauth"})
		}
		return list
	}
	if s.Username == c.Username {
		s.Username = ""
	}
	was := MailServer{Host: c.Send.Host, Port: c.Send.Port, TLS: string(c.Send.TLS), Username: c.Send.Username}
	list := changedLogin(was, s)
	for i := range list {
		list[i].Key = "send." + list[i].Key
	}
	if s.Host != was.Host { // whose key it was
		list = append(list, config.Setting{Key: "send.tls_pin"})
	}
	switch tokens := c.Auth == config.AuthOAuth2; { // what is entered is a password
	case ask.Own && (tokens || c.Send.Auth == config.AuthOAuth2):
		list = append(list, config.Text("send.auth", string(config.AuthPassword)), config.Setting{Key: "send.oauth"})
	case c.Send.Auth == config.AuthOAuth2 && !tokens:
		list = append(list, config.Setting{Key: "send.auth"}, config.Setting{Key: "send.oauth"})
	}
	if !ask.Own {
		list = append(list, config.Setting{Key: "send.password_file"})
	}
	return list
}

// trySending logs in as an account would send. A password that is for both servers has to
// be taken by that for POP3 first: it is the one that is replaced.
func (l *Local) trySending(ctx context.Context, c config.Account, ask SetSending) (p SendProbe, refused bool) {
	way, known := sending.WayOf(c)
	if !known {
		return p, false // it is to send no more
	}
	entered := ask.Server.Host != ""
	if entered && !ask.Own {
		if pop := Try(ctx, c, ask.Password); pop.Error != "" {
			return SendProbe{Server: pop.Server, Error: pop.Error, Kind: pop.Kind, Hint: pop.Hint}, pop.Refused
		}
	}
	err := supervise.Protect(func() error {
		if entered {
			return l.sending.TryPassword(ctx, c, ask.Password)
		}
		return l.sending.Try(ctx, c)
	})
	p = SendProbe{Server: net.JoinHostPort(way.Host, strconv.Itoa(way.Port)), Kind: kindOf(err)}
	p.Error, p.Hint = said(err)
	return p, fault.Is(err, fault.Auth)
}
