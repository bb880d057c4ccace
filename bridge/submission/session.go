package submission

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/serving"
)

// session is one client. All of it belongs to one goroutine, but for what says
// otherwise.
type session struct {
	run  context.Context // ends with the server
	srv  *Server
	conn *conn
	log  zerolog.Logger
	ctx  context.Context // ends when the connection does

	clear   bool // no one may log in before STARTTLS
	greeted bool // the client has said EHLO or HELO
	entered bool // who has logged in
	who     Account
	verb    string // of the command, in capitals
	bad     int    // commands that were wrong in their form
	doubt   bool   // what follows may be a message: its command was refused
	mail    *envelope
}

// needs says what a command needs before it.
type needs uint8

const (
	nothing needs = iota
	account       // a login, and before it TLS where that is required
)

type command struct {
	needs needs
	run   func(s *session, arg string) reply
}

// commands are those of RFC 5321, RFC 3207 and RFC 4954. There is no BDAT: half of a
// message that came by it would look like a whole one when the connection breaks.
var commands = map[string]command{
	"EHLO":     {nothing, (*session).ehlo},
	"HELO":     {nothing, (*session).helo},
	"STARTTLS": {nothing, (*session).startTLS},
	"AUTH":     {nothing, (*session).auth},
	"MAIL":     {account, (*session).mailFrom},
	"RCPT":     {account, (*session).rcptTo},
	"DATA":     {account, (*session).data},
	"RSET":     {nothing, (*session).rset},
	"NOOP":     {nothing, func(*session, string) reply { return ok }},
	"HELP":     {nothing, (*session).help},
	"VRFY":     {account, (*session).vrfy},
	"EXPN":     {account, (*session).absent},
	"BDAT":     {nothing, (*session).bdat},
	"QUIT":     {nothing, (*session).quit},
}

func newSession(run context.Context, srv *Server, c *conn) *session {
	s := &session{run: run, srv: srv, conn: c, ctx: c.Context, log: srv.opt.Log}
	c.Quiet = s.quiet
	return s
}

// quiet is how long the client may say nothing from now on.
func (s *session) quiet() time.Duration {
	if s.entered {
		return stallTimeout
	}
	return s.conn.UntilLogin()
}

// Serve speaks with the client until one of them ends it. A panic ends the connection
// and not the program.
func (s *session) Serve() {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("command", s.verb).Msg("SMTP command failed")
			s.conn.Abort()
		}
	}()
	if s.srv.opt.Security == serving.Implicit {
		if err := s.secure(); err != nil {
			s.conn.Abort()
			return
		}
	}
	s.clear = s.srv.opt.Security == serving.StartTLS
	s.conn.reply(reply{code: 220, text: "localhost ESMTP server ready"})
	last := s.commands()
	s.srv.clients.Release(s) // before the client sees the end
	s.conn.finish(last)
}

// Refuse tells the client why it is not served.
func (s *session) Refuse(why *serving.Refused) {
	if s.srv.opt.Security == serving.Implicit && s.secure() != nil { // it could not be read
		return
	}
	s.conn.finish(reply{code: 421, enhanced: "4.3.2", text: why.Text})
}

// Connection is of serving.Session.
func (s *session) Connection() *serving.Conn { return s.conn.Conn }

// commands runs commands until the connection ends, and returns the last reply.
func (s *session) commands() reply {
	for s.ctx.Err() == nil {
		if !s.conn.Heard.Load() && s.beganTLS() {
			return reply{}
		}
		line, err := s.conn.line()
		if err != nil && !errors.Is(err, errTooLong) {
			return farewellTo(err)
		}
		r := s.command(line, err)
		if r.last {
			return r
		}
		if r.code != 0 {
			s.conn.reply(r)
		}
	}
	return reply{}
}

// farewellTo is what to say about an error of the connection.
func farewellTo(err error) reply {
	switch {
	case errors.Is(err, serving.ErrTimeout):
		return reply{code: 421, enhanced: "4.4.2", text: "Nothing was heard for too long"}
	case errors.Is(err, errBareLF):
		return reply{code: 500, enhanced: "5.5.2", text: "A command must end with CR LF, not with LF alone"}
	case errors.Is(err, errEndless):
		return reply{code: 500, enhanced: "5.5.6", text: "The line or the message does not come to an end"}
	}
	return reply{}
}

// command runs a line; err tells that it was too long.
func (s *session) command(line string, err error) reply {
	verb, arg, _ := strings.Cut(line, " ")
	s.verb = strings.ToUpper(strings.TrimRight(verb, " \t"))
	cmd, known := commands[s.verb]
	if err != nil || !known || strings.ContainsAny(line, "\x00\r") {
		s.verb = ""
		return s.unknown(err)
	}
	s.doubt = false
	r := reply{code: 530, enhanced: "5.7.0", text: "Log in first"}
	switch {
	case cmd.needs == account && s.clear:
		r.text = "TLS is required, send STARTTLS first"
	case cmd.needs == account && !s.entered:
	default:
		return cmd.run(s, strings.Trim(arg, " \t"))
	}
	if s.verb == "DATA" {
		return s.refuseData(r)
	}
	return r
}

// unknown answers what is no command. Where it may be the text of a message, or comes
// from a web page that makes a browser send what it likes, nothing behind it is read.
func (s *session) unknown(err error) reply {
	s.bad++
	r := reply{code: 500, enhanced: "5.5.1", text: "The command is not known"}
	switch {
	case !s.greeted && !s.entered:
		s.srv.foreign.Log(s.warn("it is a web browser or another program that has the wrong port"), "a client that does not speak SMTP was disconnected")
		r.text, r.last = "This is an SMTP server", true
	case s.doubt, s.bad > maxBad:
		r.code, r.enhanced, r.text, r.last = 421, "4.7.0", "Too many lines that are no commands", true
	case err != nil:
		r.enhanced, r.text = "5.5.6", fmt.Sprintf("The line is too long, at most %d octets", maxLine)
	}
	return r
}

func (s *session) warn(hint string) *zerolog.Event {
	return s.log.Warn().Stringer("remote", s.conn.RemoteAddr()).Str("hint", hint)
}

// beganTLS notes a client that begins TLS where it is not expected.
func (s *session) beganTLS() bool {
	first, err := s.conn.in.Peek(1)
	if err != nil || first[0] != serving.TLSHandshake {
		return false
	}
	s.srv.foreign.Log(s.warn("set the client to STARTTLS, or to no encryption where [smtp] tls is \"off\"; or set [smtp] tls = \"implicit\""),
		"a client began TLS at once, where the SMTP server does not expect it")
	return true
}

// ehlo answers EHLO with what the server can do (RFC 5321 section 4.1.1.1). The name
// that a client gives itself is of no use here.
func (s *session) ehlo(string) reply {
	s.greeted, s.mail = true, nil
	lines := []string{"localhost", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", fmt.Sprintf("SIZE %d", s.srv.maxSize())}
	if s.srv.opt.UTF8() {
		lines = append(lines, "SMTPUTF8")
	}
	if s.srv.opt.DSN() {
		lines = append(lines, "DSN")
	}
	switch {
	case s.clear:
		lines = append(lines, "STARTTLS")
	case !s.entered:
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	for i, line := range lines {
		between := byte('-')
		if i == len(lines)-1 {
			between = ' '
		}
		s.conn.out = fmt.Appendf(s.conn.out, "250%c%s\r\n", between, line)
	}
	return reply{}
}

func (s *session) helo(string) reply {
	s.greeted, s.mail = true, nil
	return reply{code: 250, text: "localhost"}
}

// startTLS answers STARTTLS (RFC 3207). What was sent behind it in the clear came from
// whomever.
func (s *session) startTLS(arg string) reply {
	switch {
	case !s.clear:
		return reply{code: 503, enhanced: "5.5.1", text: "TLS cannot be started"}
	case arg != "":
		return reply{code: 501, enhanced: "5.5.4", text: "STARTTLS has no parameters"}
	case s.conn.in.Buffered() > 0:
		return reply{code: 554, enhanced: "5.5.1", text: "Nothing may follow STARTTLS before TLS has begun", last: true}
	}
	s.conn.reply(reply{code: 220, enhanced: "2.0.0", text: "Begin TLS now"})
	if s.secure() != nil {
		s.conn.Abort()
		return reply{last: true}
	}
	s.clear, s.greeted, s.mail = false, false, nil // RFC 3207 section 4.2
	return reply{}
}

// secure puts TLS over the network.
func (s *session) secure() error {
	err := s.conn.Secure(s.srv.opt.TLS, s.conn.flush)
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		s.srv.foreign.Log(s.warn("set the client to SSL/TLS, which [lan] and tls = \"implicit\" below [smtp] want"),
			"a client sent plain text where the SMTP server expects TLS")
	}
	return err
}

func (s *session) rset(string) reply {
	s.mail = nil
	return ok
}

func (s *session) help(string) reply {
	return reply{code: 214, enhanced: "2.0.0", text: "This server takes mail that is to be sent, see RFC 6409"}
}

// vrfy answers that it cannot tell (RFC 5321 section 3.5.3).
func (s *session) vrfy(string) reply {
	return reply{code: 252, enhanced: "2.1.5", text: "The address is not checked, send the message to find out"}
}

func (s *session) absent(string) reply {
	return reply{code: 502, enhanced: "5.5.1", text: "The command is not supported"}
}

// bdat ends the connection: a part of a message follows at once (RFC 3030 section 2).
func (s *session) bdat(string) reply {
	return reply{code: 502, enhanced: "5.5.1", text: "BDAT is not supported, use DATA", last: true}
}

func (s *session) quit(string) reply {
	return reply{code: 221, enhanced: "2.0.0", text: "Goodbye", last: true}
}
