package bridge

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// popServer is a POP3 server in memory with the faults of real ones. Its
// mailbox and its faults may be changed between and during sessions.
type popServer struct {
	mu       sync.Mutex
	messages []*popMessage
	trouble  trouble
	password string
	caps     []string

	down       error  // what connecting ends with
	refuse     string // the answer to PASS
	numbered   bool   // ids are the message numbers
	refuseDele func(retrieved bool) bool
	hangUp     string                                                 // the command at which the server closes the connection
	one        func(p *popSession, command string, n int) (open bool) // answers UIDL and LIST with a number; nil: as it should be
	page       int                                                    // messages shown in one session; 0: all

	said func(command string)

	times        []time.Time // of all connections
	active, most int
	order        []string       // of the RETRs, by UIDL
	retrs        map[string]int // by UIDL, complete or not
	deles        int
	conns        map[net.Conn]struct{}
	wg           sync.WaitGroup
}

type popMessage struct {
	uidl string
	data []byte
	size int64  // in LIST; 0: as it is
	err  string // answer to RETR; empty: the message
	cut  bool   // the connection is lost in the middle of it
	void bool   // RETR answers an empty message
}

// trouble is what goes wrong in a session.
type trouble struct {
	noUIDL    bool
	limit     int    // messages in one session; 0: no limit
	limitText string // the answer beyond it
	cutRetr   int    // the n-th RETR of a session is cut, from 1; 0: none
	cutAfter  int    // bytes of the answer that still come
	hide      int    // every n-th message is missing in UIDL, from 1; 0: none
	short     int    // so many messages are missing at the end of LIST and UIDL
	unstuffed bool   // RETR does not byte-stuff a line with a single dot
	expire    bool   // QUIT removes what was retrieved, as EXPIRE 0 announces
	quit      quitTrouble
	retr      func(n int) // called before the n-th RETR of a session is answered
}

type quitTrouble int

const (
	quitWell   quitTrouble = iota
	quitCut                // nothing is deleted, no answer
	quitSilent             // all is deleted, no answer
	quitERR                // nothing is deleted, -ERR
	quitLies               // +OK, and nothing is deleted
)

func newPopServer(t testing.TB) *popServer {
	s := &popServer{password: "secret", caps: []string{"UIDL", "PIPELINING", "RESP-CODES"}, retrs: make(map[string]int), conns: make(map[net.Conn]struct{})}
	t.Cleanup(s.close)
	return s
}

func (s *popServer) close() {
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// add appends a message; its UIDL is made of its number.
func (s *popServer) add(uidl string, data []byte) *popMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &popMessage{uidl: uidl, data: data}
	s.messages = append(s.messages, m)
	return m
}

// change runs f with the mailbox locked.
func (s *popServer) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *popServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

func (s *popServer) fetched(uidl string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retrs[uidl]
}

func (s *popServer) config() pop3.Config {
	return pop3.Config{Host: "pop.test", Security: pop3.Plain, Dialer: func(context.Context, string, string) (net.Conn, error) {
		s.mu.Lock()
		s.times = append(s.times, time.Now())
		down := s.down
		s.mu.Unlock()
		if down != nil {
			return nil, down
		}
		client, server := scripted.Pipe(0)
		s.accept(server)
		return client, nil
	}}
}

// accept serves a connection.
func (s *popServer) accept(server net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active++
	s.most = max(s.most, s.active)
	s.conns[server] = struct{}{}
	s.wg.Go(func() { s.serve(server) })
}
