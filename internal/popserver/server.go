// Package popserver is a small POP3 server over messages in memory: the
// counterpart of the demo and of tests that want a server which behaves.
//
// It does RFC 1939 without APOP, CAPA and PIPELINING (RFC 2449), AUTH PLAIN
// (RFC 5034) and STLS (RFC 2595). One maildrop, one user. A session sees the
// messages that were there when it logged in, deletions happen at QUIT only,
// and while one session is logged in others get [IN-USE]. For a server that
// misbehaves there is internal/testkit/scripted.
//
// Serve owns the connections and waits for them.
package popserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"slices"
	"sync"

	"github.com/rs/zerolog"
)

// Options say who may log in and how.
type Options struct {
	User, Password string
	TLS            *tls.Config // offers STLS; for implicit TLS give Serve a tls.NewListener
	Log            zerolog.Logger
}

// Server is a maildrop with its login. Its methods may be used by several
// goroutines.
type Server struct {
	opts Options

	mu       sync.Mutex
	messages []*message // in order of arrival
	added    int
	inUse    bool
}

// message is immutable.
type message struct {
	uidl string
	raw  []byte // ends with CRLF
}

// New returns a server with an empty maildrop.
func New(opts Options) *Server {
	return &Server{opts: opts}
}

// Add delivers a message and returns its unique id, which no other message of
// this server gets, not even one with the same content. A message that does
// not end with CRLF is given one, as the protocol can't do without.
func (s *Server) Add(raw []byte) (uidl string) {
	raw = bytes.Clone(raw)
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		raw = append(raw, "\r\n"...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added++
	hash := sha256.New()
	hash.Write([]byte{byte(s.added), byte(s.added >> 8), byte(s.added >> 16), byte(s.added >> 24)})
	hash.Write(raw)
	uidl = hex.EncodeToString(hash.Sum(nil)[:16])
	s.messages = append(s.messages, &message{uidl, raw})
	return uidl
}

// Messages is the number of messages in the maildrop.
func (s *Server) Messages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// Serve answers the connections of ln until ctx ends, and then closes ln and
// them. It returns nil when ctx ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	sessions, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(sessions, func() { _ = ln.Close() })
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(sessions, func() { _ = conn.Close() })()
			newSession(s, conn).run()
		})
	}
}

// lock takes the maildrop for one session and returns what is in it.
func (s *Server) lock() (drop []*message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse {
		return nil, false
	}
	s.inUse = true
	return slices.Clone(s.messages), true
}

func (s *Server) unlock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse = false
}

// remove is the UPDATE state: the only place where messages go away.
func (s *Server) remove(gone map[*message]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.DeleteFunc(s.messages, func(m *message) bool { return gone[m] })
}
