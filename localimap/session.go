package localimap

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
)

const (
	// idleTimeout is how long a client that has logged in may say nothing between
	// commands (RFC 9051 section 5.4: at least 30 minutes), stallTimeout in the
	// middle of one.
	idleTimeout  = 35 * time.Minute
	stallTimeout = 5 * time.Minute
	// askTwice is how soon after a NOOP another one means that someone waits for
	// mail.
	askTwice = 10 * time.Second
)

// state is what a client has come to (RFC 9051 section 3).
type state uint8

const (
	anonymous     state = 1 << iota // not authenticated
	authenticated                   // no mailbox is open
	selected

	loggedIn = authenticated | selected
	anyState = anonymous | loggedIn
)

// session is one client. All of it belongs to one goroutine, but for what says
// otherwise.
type session struct {
	srv  *Server
	conn *conn
	in   *imapwire.Reader
	log  zerolog.Logger
	ctx  context.Context // ends when the connection does

	clear   bool   // no one may log in before STARTTLS
	user    string // empty before login
	store   scope
	tag     string                 // of the command
	name    string                 // of the command, in capitals
	utf8    bool                   // names of mailboxes are UTF-8 (RFC 6855 section 3, RFC 9051 section 5.1)
	program atomic.Pointer[string] // what the client calls itself
	enabled

	view   *view         // nil unless a mailbox is selected
	notify *notification // nil before NOTIFY
	parked []*mailstore.View
	acted  bool // the command has used the mailbox
	// keepsNumbers tells that the command must not be answered with EXPUNGE.
	keepsNumbers bool
	askedAt      time.Time // of a command that did not, such as NOOP
}

var (
	limitsAnonymous = imapwire.Limits{Line: maxAnonCommand, String: maxString, Held: maxAnonLiterals, Skip: maxSkip}
	limitsLoggedIn  = imapwire.Limits{Line: maxCommand, String: maxString, Held: maxLiterals, Skip: appendLimit}
)

func newSession(srv *Server, c *conn) *session {
	s := &session{srv: srv, conn: c, ctx: c.Context, log: srv.opt.Log}
	s.in = imapwire.NewReader(c, limitsAnonymous, func() error {
		c.line("+ Go on")
		return c.flush()
	})
	c.Quiet = s.quiet
	return s
}

// quiet is how long the client may say nothing from now on.
func (s *session) quiet() time.Duration {
	switch {
	case s.user == "":
		return s.conn.UntilLogin()
	case s.conn.between:
		return idleTimeout
	}
	return stallTimeout
}

// Serve speaks with the client until one of them ends it. A panic outside a command
// ends the connection and not the program.
func (s *session) Serve() {
	defer s.close()
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p)
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
	s.conn.line("* OK [CAPABILITY %s] IMAP server ready", s.capabilities())
	bye := s.commands()
	s.srv.clients.Release(s) // before the client sees the end
	s.conn.finish(bye)
}

// Refuse tells the client why it is not served.
func (s *session) Refuse(why *serving.Refused) {
	if s.srv.opt.Security == serving.Implicit && s.secure() != nil { // it could not be read
		return
	}
	text := why.Text
	if why.Limit {
		text = "[LIMIT] " + text
	}
	s.conn.finish(text)
}

// Connection is of serving.Session.
func (s *session) Connection() *serving.Conn { return s.conn.Conn }

// named is what the client calls itself; it may be empty.
func (s *session) named() string {
	if name := s.program.Load(); name != nil {
		return *name
	}
	return ""
}

// close gives up what the session holds.
func (s *session) close() {
	_ = s.setNotification(&notification{}) // nothing can fail
	s.unselect()
	s.unpark(0)
	if s.user != "" {
		s.log.Debug().Str("user", s.user).Msg("IMAP client disconnected")
	}
}

// commands runs commands until the connection ends, and returns what is to be said
// about that.
func (s *session) commands() (bye string) {
	for s.ctx.Err() == nil {
		err := s.await()
		if err == nil {
			if bye = s.noteUnexpectedTLS(); bye != "" {
				return bye
			}
			err = s.in.Next()
		}
		if err != nil {
			return farewellTo(err)
		}
		bye, more := s.command()
		if !more {
			return bye
		}
		if err := s.in.Finish(); err != nil {
			return farewellTo(err)
		}
		if s.conn.overflow() != nil {
			break
		}
	}
	return ""
}

// await waits for a command, and tells meanwhile what NOTIFY asks for.
func (s *session) await() error {
	s.conn.between, s.name = true, ""
	defer func() { s.conn.between = false }()
	s.in.Release()
	if s.notify != nil {
		if err := s.listen(false); err != nil {
			return err
		}
	}
	return s.in.Fill()
}

// farewellTo is what to say about an error of the connection.
func farewellTo(err error) string {
	switch {
	case errors.Is(err, serving.ErrTimeout):
		return "Autologout, nothing was heard for too long"
	case errors.Is(err, imapwire.ErrLost):
		return "Command or literal is too long"
	}
	return ""
}

// command reads, runs and answers one command. more is false where it is the last
// one.
func (s *session) command() (bye string, more bool) {
	cmd, err := s.header()
	if cmd == nil && s.user == "" && !known(s.name) {
		return s.rejectForeign(err), false
	}
	first := !s.conn.Heard.Swap(true)
	s.acted, s.keepsNumbers = false, cmd != nil && cmd.keepsNumbers
	text := ""
	if err == nil && s.view != nil && !s.inSight() {
		return "", false
	}
	if err == nil {
		text, err = s.perform(cmd)
	}
	_, syntax := errors.AsType[*imapwire.SyntaxError](err)
	if syntax && first && slices.Contains(withoutArguments, s.name) { // GET NOOP HTTP/1.1
		return s.rejectForeign(err), false
	}
	if dead := s.in.Dead(); dead != nil {
		return farewellTo(dead), false
	}
	if errors.Is(err, errAnswered) {
		return "", s.conn.err == nil
	}
	if errors.Is(err, errLogout) {
		s.conn.line("* BYE Logging out")
		s.conn.line("%s OK LOGOUT completed", s.tag)
		return "", false
	}
	if s.view != nil {
		// This is also how the EXPUNGE responses of EXPUNGE and MOVE get to the client.
		s.noteAsked()
		if !s.tellSelected(!s.keepsNumbers) {
			return "", false
		}
	}
	if v := s.view; v != nil && v.condstore && v.behind() && (text != "" || err != nil) {
		s.conn.tellHighestModSeq(v.settled) // RFC 7162 section 6; a plain OK says it itself
	}
	s.answer(text, err)
	return "", s.conn.err == nil
}

// header reads the tag and the name of a command, and finds it. s.tag is * where
// there is none.
func (s *session) header() (*command, error) {
	r := s.in
	s.tag, s.name = r.Tag(), ""
	if r.Err() != nil {
		s.tag = "*"
		return nil, r.Err()
	}
	r.SP()
	s.name = strings.ToUpper(r.Atom())
	if s.name == "UID" {
		r.SP()
		s.name += " " + strings.ToUpper(r.Atom())
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	cmd, err := find(s.name, s.state())
	if err == nil {
		err = s.store.available(cmd.needs)
	}
	return cmd, err
}

func (s *session) state() state {
	switch {
	case s.user == "":
		return anonymous
	case s.view == nil:
		return authenticated
	}
	return selected
}

// perform runs a command. A panic ends the command and not the program.
func (s *session) perform(cmd *command) (text string, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p)
			err = no(imap.ResponseCodeServerBug, "Internal error, see the log of the server")
		}
	}()
	return cmd.run(s)
}

func (s *session) panicked(p any) {
	s.log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("command", s.name).Msg("IMAP command failed")
}

// answer gives the tagged response: text after OK, or what err says.
func (s *session) answer(text string, err error) {
	var status *imap.Error
	var syntax *imapwire.SyntaxError
	var limit *imapwire.LimitError
	switch {
	case err == nil && text == "":
		s.conn.line("%s OK %s%s completed", s.tag, s.modSeqCode(), s.name)
	case err == nil:
		s.conn.line("%s OK %s", s.tag, text)
	case errors.As(err, &status) && status.Code != "":
		s.conn.line("%s %s [%s] %s", s.tag, status.Type, status.Code, status.Text)
	case errors.As(err, &status):
		s.conn.line("%s %s %s", s.tag, status.Type, status.Text)
	case errors.As(err, &syntax):
		s.conn.line("%s BAD [CLIENTBUG] %s", s.tag, syntax.Text)
	case errors.As(err, &limit):
		s.conn.line("%s BAD [LIMIT] %s", s.tag, limit.Text)
	case errors.Is(err, errAnswered):
	default:
		s.answer("", s.response(err))
	}
}

// expunges reports whether the command tells the outcome by EXPUNGE responses.
func (s *session) expunges() bool {
	return strings.HasSuffix(s.name, "EXPUNGE") || strings.HasSuffix(s.name, "MOVE") || strings.HasSuffix(s.name, "REPLACE")
}

// noteAsked tells a client that asks for news twice from one that works.
func (s *session) noteAsked() {
	now := time.Now()
	switch {
	case s.acted:
	case now.Sub(s.askedAt) > askTwice:
		s.askedAt = now
	default:
		s.askedAt = time.Time{}
		s.srv.opt.Opened(s.user, s.view.seen.Mailbox.Name)
	}
}
