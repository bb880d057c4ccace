package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

const (
	ticketFor   = time.Minute
	usedFor     = time.Hour // a ticket that comes again is recognised for so long
	maxTickets  = 32        // that wait at a time, and that were used
	sessionFor  = 30 * 24 * time.Hour
	idleFor     = 7 * 24 * time.Hour
	maxSessions = 32
	noteEvery   = time.Hour      // the last use of a session is written down so often
	setBack     = 24 * time.Hour // a session from further ahead is of a clock that was wrong
)

// session is a browser that is signed in. The file has hashes of both halves only.
type session struct {
	ID      string    `json:"id"`
	Cookie  string    `json:"cookie"` // SHA-256, hex
	Key     string    `json:"key"`
	UID     string    `json:"uid,omitempty"` // of the user whose browser it is, where that is known
	Browser string    `json:"browser"`       // as it calls itself
	Begun   time.Time `json:"begun"`
	Used    time.Time `json:"used"`

	replaces string // id of the session that the browser had before; it ends at the first use of this one
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.Begun) > sessionFor || now.Sub(s.Used) > idleFor || s.Begun.Sub(now) > setBack || s.Used.Sub(now) > setBack
}

type ticket struct {
	uid     string
	until   time.Time
	session string // that it was exchanged for; "": it is new
}

// over reports whether a ticket is too old, or the clock was set back meanwhile.
func (t *ticket) over(now time.Time) bool {
	return now.After(t.until) || t.until.Sub(now) > ticketFor
}

type sessions struct {
	path    string
	now     func() time.Time
	reused  func()
	process string // of this process alone

	mu      sync.Mutex
	all     []*session
	tickets map[[sha256.Size]byte]*ticket
	open    map[string]map[*func()]bool // what ends the streams of a session
}

// openSessions reads the file; an error leaves no session.
func openSessions(path string, now func() time.Time, reused func()) (*sessions, error) {
	s := &sessions{path: path, now: now, reused: reused, process: rand.Text(), tickets: map[[sha256.Size]byte]*ticket{}, open: map[string]map[*func()]bool{}}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &s.all)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		s.all = nil
	}
	s.all = slices.DeleteFunc(s.all, func(one *session) bool { return one == nil || one.over(now()) })
	return s, err
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// proof is how a page shows a process of the agent that it has the key with this hash.
func proof(hash, process string) string {
	mac := hmac.New(sha256.New, []byte(hash))
	_, _ = mac.Write([]byte(process))
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *sessions) ticket(uid string) string {
	text := rand.Text() + rand.Text() // 256 bits
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, used := range []bool{false, true} {
		s.makeRoom(used)
	}
	s.tickets[sha256.Sum256([]byte(text))] = &ticket{uid: uid, until: s.now().Add(ticketFor)}
	return text
}

// makeRoom forgets the tickets that are over, and the oldest of many; used ones are kept
// for longer, and apart.
func (s *sessions) makeRoom(used bool) {
	var oldest [sha256.Size]byte
	n := 0
	for key, t := range s.tickets {
		over := t.until
		if t.session != "" {
			over = over.Add(usedFor)
		}
		switch {
		case (t.session != "") != used:
		case s.now().After(over):
			delete(s.tickets, key)
		default:
			if n++; n == 1 || t.until.Before(s.tickets[oldest].until) {
				oldest = key
			}
		}
	}
	if n >= maxTickets {
		delete(s.tickets, oldest)
	}
}

var errTicket = fault.New(fault.Denied, "this address was used already, or is older than a minute", "run `popbridge open` again, or use the menu entry")

// exchange takes a ticket and returns the two halves of a session. peer is the user whose
// program asks, "" where that is not known. A ticket that comes again ends the session
// that it had begun: two have seen it. before is the session that the browser has shown
// to have, "" for none: it goes on until the new one is used, so that its other pages do
// not find themselves signed out on the way.
func (s *sessions) exchange(text, peer, browser, before string) (cookie, key string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tickets[sha256.Sum256([]byte(text))]
	switch {
	case t == nil:
		return "", "", errTicket
	case t.session != "":
		if n, _ := s.remove(func(one *session) bool { return one.ID == t.session }); n > 0 { // what could not be written is told when it is signed out by hand
			s.reused()
		}
		return "", "", errTicket
	case t.over(s.now()):
		return "", "", errTicket
	case peer != "" && t.uid != "" && peer != t.uid:
		return "", "", fault.New(fault.Denied, "the browser runs as another user of this computer than the one that asked for the page", "open the page in a browser of the user who ran `popbridge open`")
	}
	cookie, key = rand.Text()+rand.Text(), rand.Text()+rand.Text()
	now := s.now().UTC().Truncate(time.Second)
	one := &session{ID: rand.Text()[:8], Cookie: hashed(cookie), Key: hashed(key), UID: peer, Browser: browser, Begun: now, Used: now, replaces: before}
	t.session = one.ID
	var oldest *session // the one that was used least recently
	if len(s.all) >= maxSessions {
		oldest = slices.MinFunc(s.all, func(a, b *session) int { return a.Used.Compare(b.Used) })
	}
	_, _ = s.remove(func(one *session) bool { return one == oldest || one.over(now) }) // written in a moment
	s.all = append(s.all, one)
	_ = s.write() // or it ends with the process
	return cookie, key, nil
}

// alive reports whether a session goes on, and counts as a use of it.
func (s *sessions) alive(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.all, func(one *session) bool { return one.ID == id })
	return i >= 0 && s.use(s.all[i])
}

// use notes that a session is used, unless it is over.
func (s *sessions) use(one *session) bool {
	if one.over(s.now()) {
		return false
	}
	if now := s.now().UTC().Truncate(time.Second); now.Sub(one.Used) > noteEvery {
		one.Used = now
		_ = s.write() // or it ends a little early after a restart
	}
	return true
}

// find returns the id of the session of a cookie and the proof of its key, "" for none.
// peer is the user whose program asks.
func (s *sessions) find(cookie, shown string, peer func() string) string {
	cookie = hashed(cookie)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		same := subtle.ConstantTimeCompare([]byte(one.Cookie), []byte(cookie)) & subtle.ConstantTimeCompare([]byte(proof(one.Key, s.process)), []byte(shown))
		if same == 1 && (one.UID == "" || one.UID == peer()) && s.use(one) {
			if before := one.replaces; before != "" {
				one.replaces = ""
				_, _ = s.remove(func(one *session) bool { return one.ID == before }) // or it is listed again after a restart
			}
			return one.ID
		}
	}
	return ""
}

// whileOpen has end called when the session of this id ends; done says that it is not
// needed any more. It reports false for a session that has ended.
func (s *sessions) whileOpen(id string, end func()) (done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.all, func(one *session) bool { return one.ID == id }) {
		return nil, false
	}
	if s.open[id] == nil {
		s.open[id] = map[*func()]bool{}
	}
	s.open[id][&end] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open[id], &end)
		if len(s.open[id]) == 0 {
			delete(s.open, id)
		}
	}, true
}

func (s *sessions) list() []operations.WebSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []operations.WebSession{}
	for _, one := range s.all {
		if !one.over(s.now()) {
			list = append(list, operations.WebSession{ID: one.ID, Browser: one.Browser, Begun: one.Begun, Used: one.Used, Open: len(s.open[one.ID]), Ends: one.Begun.Add(sessionFor)})
		}
	}
	return list
}

// end signs out one browser, all for "". An error says that it is signed in again after a
// restart of the agent.
func (s *sessions) end(id string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(func(one *session) bool { return id == "" || one.ID == id })
}

func (s *sessions) remove(which func(*session) bool) (int, error) {
	before := len(s.all)
	s.all = slices.DeleteFunc(s.all, func(one *session) bool {
		if which(one) {
			s.drop(one.ID)
			return true
		}
		return false
	})
	n := before - len(s.all)
	if n == 0 {
		return 0, nil
	}
	return n, s.write()
}

// drop ends the streams of a session.
func (s *sessions) drop(id string) {
	for end := range s.open[id] {
		(*end)()
	}
	delete(s.open, id)
}

// write replaces the file.
func (s *sessions) write() error {
	data, err := json.Marshal(s.all)
	if err == nil {
		err = atomicfile.Write(s.path, 0o600, data)
	}
	return fault.Wrap(err, fault.Temporary, "who is signed in at the web page cannot be written down", "a browser that was signed out is signed in again after a restart: look at the space and the permissions of the data folder, and sign it out once more")
}
