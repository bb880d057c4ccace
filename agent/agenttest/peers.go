package agenttest

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
)

// Peer is a POP3 server that remembers what it got.
type Peer struct {
	*popserver.Server
	Sent [][]byte
}

func (p *Peer) Add(raw []byte) {
	p.Server.Add(raw)
	p.Sent = append(p.Sent, raw)
}

// POP starts a POP3 server with n messages for the account of that name.
func POP(t *testing.T, name string, n int) (*Peer, int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ServePOP(t, name, n, ln), ln.Addr().(*net.TCPAddr).Port
}

func ServePOP(t *testing.T, name string, n int, ln net.Listener) *Peer {
	t.Helper()
	srv := &Peer{Server: popserver.New(popserver.Options{User: name, Password: POPPassword})}
	for i := range n {
		srv.Add(testkit.Message(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("POP3 server: %v", err)
		}
	})
	return srv
}

// Login connects a mail client.
func Login(t *testing.T, addr, user string, o *imapclient.Options) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(user, DevicePassword).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// Read returns all messages of a mailbox in the order of their UIDs.
func Read(t *testing.T, addr, user, mailbox string) [][]byte {
	t.Helper()
	c := Login(t, addr, user, nil)
	selected, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if selected.NumMessages == 0 {
		return nil
	}
	section := &imap.FetchItemBodySection{Peek: true}
	all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	for _, m := range all {
		bodies = append(bodies, m.FindBodySection(section))
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
	return bodies
}

// SameBytes compares messages in order.
func SameBytes(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("message %d has %d bytes, which differ from the %d wanted", i+1, len(got[i]), len(want[i]))
		}
	}
}

// Stalling relays to a POP3 server and stops for good after so many bytes of
// answers, with the connection open. stalled is closed when it has.
func Stalling(t *testing.T, target int, after int64) (port int, stalled <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(target)))
			if err != nil {
				_ = client.Close()
				continue
			}
			both := func() { _ = client.Close(); _ = server.Close() }
			context.AfterFunc(ctx, both)
			wg.Go(func() { _, _ = io.Copy(server, client); both() })
			wg.Go(func() {
				_, _ = io.CopyN(client, server, after)
				once.Do(func() { close(reached) })
				<-ctx.Done()
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = ln.Close(); wg.Wait() })
	return ln.Addr().(*net.TCPAddr).Port, reached
}
