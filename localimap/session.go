package localimap

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// loginDelay is waited after a wrong password, always the same time.
const loginDelay = time.Second

// askTwice is how soon after a NOOP another one means that somebody waits for
// mail.
const askTwice = 10 * time.Second

const (
	// mergeWithin is how long IDLE waits after it has told something, so that a
	// burst of changes is not told one by one.
	mergeWithin = 50 * time.Millisecond
	// stillHereEvery is how often IDLE says something where nothing changes. It
	// finds clients that are gone and keeps routers from forgetting the others;
	// telephones pay for it with their battery. Clients begin a new IDLE before
	// 29 minutes are over (RFC 9051 section 6.3.13).
	stillHereEvery = 25 * time.Minute
)

// session is one client. The library calls its methods one after the other,
// from one goroutine, except Idle, which has its own and may outlive the
// command when the client breaks off: mu keeps it apart from the others.
type session struct {
	run    *serving
	srv    *Server
	lib    *imapserver.Conn
	conn   *conn
	log    zerolog.Logger
	ctx    context.Context // ends when the connection is given up
	cancel context.CancelFunc

	checking atomic.Bool // a password is being checked

	user      string // empty before login
	store     scope
	enteredAt time.Time // guarded by Server.mu

	mu      sync.Mutex // held by every command that uses view
	view    *view      // nil unless a mailbox is selected
	parked  []*mailstore.View
	acted   bool      // a command has used the mailbox since the last Poll
	askedAt time.Time // of a command that did not, such as NOOP
	closing bool
	idling  sync.WaitGroup
}

var (
	_ imapserver.SessionIMAP4rev2   = (*session)(nil)
	_ imapserver.SessionAppendLimit = (*session)(nil)
)

// Close ends the session; the library has finished its command, but perhaps not
// its IDLE.
func (s *session) Close() error {
	s.cancel()
	s.mu.Lock()
	s.closing = true
	s.unselectLocked()
	s.unparkLocked(0)
	s.mu.Unlock()
	s.idling.Wait()
	if s.user != "" {
		s.log.Debug().Str("user", s.user).Msg("IMAP client disconnected")
	}
	s.run.leave(s)
	return nil
}

// Login checks name and password. AUTHENTICATE PLAIN ends here too.
func (s *session) Login(name, password string) error {
	s.checking.Store(true)
	defer s.checking.Store(false)
	who, err := s.srv.opt.Login(s.ctx, name, password)
	if fault.Is(err, fault.Auth) {
		s.log.Debug().Str("user", fault.Quote(name)).Stringer("remote", s.conn.RemoteAddr()).Msg("IMAP login refused")
		timer := time.NewTimer(loginDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ctx.Done():
		}
	}
	if err != nil {
		return s.response(err)
	}
	if err := s.srv.enter(s, login{who.User, who.Device.Name}); err != nil {
		return err
	}
	// The device may have been revoked or changed meanwhile. From here on
	// Disconnect finds this session, so that what is true now stays true.
	again, err := s.srv.opt.Login(s.ctx, name, password)
	if err != nil || again.User != who.User || again.Device.Name != who.Device.Name {
		s.srv.exit(s)
		if err == nil {
			return imapserver.ErrAuthFailed
		}
		return s.response(err)
	}
	s.user, s.store = again.User, scope{again.Store, again.Device}
	s.conn.loggedIn()
	s.conn.offer(offerTo(again.Device.Without))
	s.log.Debug().Str("user", s.user).Str("device", again.Device.Name).Stringer("remote", s.conn.RemoteAddr()).Msg("IMAP client logged in")
	if text := oneLine(s.srv.opt.Alert(s.user, again.Device.Name)); text != "" {
		s.conn.say("* OK [ALERT] %s", text) // RFC 9051 section 7.1
	}
	return nil
}

// maxAlert is the longest text of an alert in characters: mail programs show it
// in a small window.
const maxAlert = 300

// oneLine makes text (RFC 9051 section 9, text) of what may come from anywhere.
// What is not ASCII is for clients that enable more, which none has at login.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxAlert {
		s = s[:maxAlert-3] + "..."
	}
	return s
}

// AppendLimit is announced as APPENDLIMIT (RFC 7889).
func (s *session) AppendLimit() uint32 { return appendLimit }

// Namespace says that there is one, without prefix.
func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delimiter}}}, nil
}

// Poll tells what has changed. The library calls it before the tagged OK of
// every command; that is also how the EXPUNGE responses of EXPUNGE and MOVE get
// to the client.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil {
		return nil
	}
	s.noteAskedLocked()
	if err := s.sightLocked(); err != nil {
		return err
	}
	return s.view.sync(s.ctx, w, allowExpunge)
}

// noteAskedLocked tells a client that asks for news twice from one that works.
func (s *session) noteAskedLocked() {
	now, acted := time.Now(), s.acted
	s.acted = false
	switch {
	case acted:
	case now.Sub(s.askedAt) > askTwice:
		s.askedAt = now
	default:
		s.askedAt = time.Time{}
		s.srv.opt.Opened(s.user, s.view.seen.Mailbox.Name)
	}
}

// Idle tells what has changed and goes on telling until stop (RFC 9051 section
// 6.3.13).
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.idling.Add(1)
	s.acted = true
	v := s.view
	s.mu.Unlock()
	defer s.idling.Done()

	var changed <-chan struct{} // without a mailbox there is nothing to tell
	if v != nil {
		changed = v.feed.Changed()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	quiet := false // for the whole time
	rest := func(d time.Duration, changed <-chan struct{}) (goOn bool) {
		timer.Reset(d)
		quiet = false
		select {
		case <-changed:
		case <-timer.C:
			quiet = true
		case <-stop:
			return false
		case <-s.ctx.Done():
			return false
		}
		return true
	}
	for {
		if err := s.drain(v, w); err != nil {
			return err
		}
		// What comes soon after is told as one.
		if !rest(mergeWithin, nil) || !rest(stillHereEvery, changed) {
			return nil
		}
		if quiet {
			s.conn.say("* OK Still here")
		}
	}
}

// drain tells the changes of v as one burst, unless v is not the selected
// mailbox any more.
func (s *session) drain(v *view, w *imapserver.UpdateWriter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v == nil || s.view != v {
		return nil
	}
	if err := s.sightLocked(); err != nil {
		return err
	}
	s.conn.cork()
	defer s.conn.uncork()
	return v.sync(s.ctx, w, true)
}

// selected returns the view for a command; the caller holds mu.
func (s *session) selectedLocked() (*view, error) {
	if s.view == nil {
		return nil, bad("No mailbox selected")
	}
	s.acted = true
	return s.view, nil
}

// writableLocked returns the view for a command that changes messages.
func (s *session) writableLocked() (*view, error) {
	v, err := s.selectedLocked()
	if err == nil && v.readOnly {
		return nil, no(imap.ResponseCodeNoPerm, "Mailbox is open read-only")
	}
	return v, err
}

// writable refuses a command that changes mailboxes where the device may not.
func (s *session) writable() error {
	if s.store.device.ReadOnly {
		return no(imap.ResponseCodeNoPerm, "This device may only read")
	}
	return nil
}

// Unselect closes the mailbox.
func (s *session) Unselect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unselectLocked()
	return nil
}

// unselectLocked keeps the feeds of the last few mailboxes open: clients go to
// and fro, and the store reads a mailbox again that nobody has open.
func (s *session) unselectLocked() {
	if s.view == nil {
		return
	}
	s.parked = append(s.parked, s.view.feed)
	s.view = nil
	s.unparkLocked(maxParked)
}

const maxParked = 2

// unparkLocked closes all but the newest n.
func (s *session) unparkLocked(n int) {
	for ; len(s.parked) > n; s.parked = s.parked[1:] {
		s.parked[0].Close()
	}
}
