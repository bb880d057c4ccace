package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

const (
	openScript = "S: +OK ready\nC: CAPA\nS: +OK\nS: USER\nS: UIDL\nS: .\n"
	authScript = openScript + "C: USER ann\nS: +OK\nC: PASS pw\nS: +OK\nC: CAPA\nS: +OK\nS: UIDL\nS: .\n"
)

// stalls are scripts in which the server stops to answer, and how long the
// client puts up with it.
var stalls = []struct {
	name, script string
	security     Security
	after        time.Duration
	kind         fault.Kind
	text         string
}{
	{"tls", "@stall\n", Implicit, 3 * time.Second, fault.Temporary, "handshake"},
	{"greeting", "@stall\n", Plain, 5 * time.Second, fault.Temporary, "greet"},
	{"greeting, half", "S\" +OK rea\n@stall\n", Plain, 5 * time.Second, fault.Temporary, "greet"},
	{"capa", "S: +OK\nC: CAPA\n@stall\n", Plain, 7 * time.Second, fault.Temporary, "answer"},
	{"capa, half", "S: +OK\nC: CAPA\nS: +OK\nS: USER\n@stall\n", Plain, 11 * time.Second, fault.Temporary, "answer"},
	{"stls", "S: +OK\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\n@stall\n", StartTLS, 7 * time.Second, fault.Temporary, "answer"},
	{"stls handshake", "S: +OK\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\nS: +OK\n@stall\n", StartTLS, 3 * time.Second, fault.Temporary, "handshake"},
	{"user", openScript + "C: USER ann\n@stall\n", Plain, 7 * time.Second, fault.Temporary, "answer"},
	{"pass", openScript + "C: USER ann\nS: +OK\nC: PASS pw\nS\" +OK\n@stall\n", Plain, 7 * time.Second, fault.Temporary, "answer"},
	{"uidl", authScript + "C: UIDL\nS: +OK\nS: 1 a\n@stall\n", Plain, 11 * time.Second, fault.Temporary, "answer"},
	{"retr", authScript + "C: UIDL\nS: +OK\nS: .\nC: RETR 1\n@stall\n", Plain, 7 * time.Second, fault.Temporary, "answer"},
	{"message", authScript + "C: UIDL\nS: +OK\nS: .\nC: RETR 1\nS: +OK\nS: hello\n@stall\n", Plain, 11 * time.Second, fault.Temporary, "middle of a message"},
	{"no line end before the dot", authScript + "C: UIDL\nS: +OK\nS: .\nC: RETR 1\nS: +OK\nS: hello.\n@stall\n", Plain, 11 * time.Second, fault.Temporary, "middle of a message"},
	{"quit", authScript + "C: UIDL\nS: +OK\nS: .\nC: RETR 1\nS: +OK\nS: .\nC: QUIT\n@stall\n", Plain, 7 * time.Second, fault.Temporary, "answer"},
}

func stallConfig(server *scripted.Server, security Security) Config {
	return Config{
		Host: "pop.example.com", Security: security, Dialer: server.Dial,
		Timeouts: Timeouts{TLS: 3 * time.Second, Greeting: 5 * time.Second, Reply: 7 * time.Second, Read: 11 * time.Second},
	}
}

// session goes from Dial to Quit and returns the first error.
func wholeSession(ctx context.Context, cfg Config) error {
	c, err := Dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Login(ctx, Credentials{Username: "ann", Secret: "pw"}); err != nil {
		return err
	}
	if _, err := c.UIDL(ctx, func(int, string) {}); err != nil {
		return err
	}
	recv := func(_ int, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	if err := c.Retr(ctx, []Request{{Num: 1}}, Check{}, recv, func(int, error) {}); err != nil {
		return err
	}
	return c.Quit(ctx)
}

func TestEveryStepHasADeadline(t *testing.T) {
	for _, tt := range stalls {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := scripted.New(t, tt.script)
				start := time.Now()
				err := wholeSession(t.Context(), stallConfig(server, tt.security))
				if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %v: %v", fault.KindOf(err), err)
				}
				if took := time.Since(start); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
			})
		})
	}
}

func TestContextEndsEveryStepAtOnce(t *testing.T) {
	for _, tt := range stalls {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := scripted.New(t, tt.script)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				err := wholeSession(ctx, stallConfig(server, tt.security))
				if !errors.Is(err, context.DeadlineExceeded) || fault.KindOf(err) != fault.Internal {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestCommandsDroppedByTheServer: of the commands in one packet it reads the
// first only.
func TestCommandsDroppedByTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := scripted.New(t, "S: +OK\nC: CAPA\nS: +OK\nS: PIPELINING\nS: .\nC: RETR 1\nS: +OK\nS: one\nS: .\n@stall\n")
		c, err := Dial(t.Context(), stallConfig(server, Plain))
		if err != nil {
			t.Fatal(err)
		}
		err = c.Retr(t.Context(), []Request{{Num: 1}, {Num: 2}}, Check{}, func(int, io.Reader) error { return nil }, func(int, error) {})
		if !errors.Is(err, ErrPipelining) {
			t.Error(err)
		}
	})
}

// TestAnswersBelongToTheirRequests: a server that reads the first command of
// each packet only must not have the answer to a later one taken for that to
// one it dropped.
func TestAnswersBelongToTheirRequests(t *testing.T) {
	for _, kept := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			client, server := scripted.Pipe(0)
			go serveFirst(server, kept)
			cfg := Config{Host: "h", Security: Plain, Window: Window{Bytes: 4000}, Dialer: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
			c, err := Dial(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var reqs []Request
			for i := range 20 {
				reqs = append(reqs, Request{Num: i + 1, Size: 1000})
			}
			err = c.Retr(t.Context(), reqs, Check{}, func(num int, r io.Reader) error {
				b, err := io.ReadAll(r)
				if want := fmt.Sprintf("RETR %d\r\n", num); err == nil && string(b) != want {
					t.Errorf("%q instead of %q", b, want)
				}
				return err
			}, func(int, error) {})
			if !errors.Is(err, ErrPipelining) {
				t.Errorf("%d kept: %v", kept, err)
			}
		})
	}
}

// serveFirst answers the first commands of each packet with themselves.
func serveFirst(conn net.Conn, kept int) {
	defer conn.Close()
	_, _ = conn.Write([]byte("+OK\r\n"))
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		lines := strings.SplitAfter(string(buf[:n]), "\r\n")
		for _, line := range lines[:min(kept, len(lines)-1)] {
			answer := "+OK\r\n" + line + ".\r\n"
			if line == "CAPA\r\n" {
				answer = "+OK\r\nPIPELINING\r\n.\r\n"
			}
			_, _ = conn.Write([]byte(answer))
		}
	}
}

func TestSlowButSteadyIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := scripted.Pipe(0)
		go func() {
			defer server.Close()
			for range 100 {
				_, _ = server.Write([]byte(strings.Repeat("slow", 50) + "\r\n"))
				time.Sleep(9 * time.Second)
			}
			_, _ = server.Write([]byte(".\r\n"))
		}()
		c := newClient(Config{Timeouts: Timeouts{Read: 10 * time.Second}}.withDefaults(), mailconn.New(client))
		c.wire.Stream(c.cfg.Timeouts.Read, math.MaxInt64)
		b, err := io.ReadAll(&body{c: c, d: newDotReader(c.wire.R, 1<<20)})
		if err != nil || len(b) != 20200 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		_ = c.Close()
	})
}

// TestADripIsTooSlow: a server that keeps the connection alive with an octet now
// and then ends it after a minute. The time in which no one reads does not count.
func TestADripIsTooSlow(t *testing.T) {
	for name, octet := range map[string]string{"message": "a", "listing": "1 1\r\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := scripted.Pipe(0)
				var drip sync.WaitGroup
				drip.Go(func() {
					_, _ = server.Write([]byte("+OK\r\n"))
					for range 100 {
						if _, err := server.Write([]byte(octet)); err != nil {
							return
						}
						time.Sleep(5 * time.Second)
					}
				})
				c := newClient(Config{}.withDefaults(), mailconn.New(client))
				started, wait := time.Now(), time.Duration(0)
				var err error
				if name == "listing" {
					_, err = c.List(t.Context(), func(int, int64) {})
				} else {
					err = c.Retr(t.Context(), []Request{{Num: 1}}, Check{}, func(_ int, r io.Reader) error {
						_, _ = r.Read(make([]byte, 1))
						wait = 40 * time.Second // a disk that is slow
						time.Sleep(wait)
						_, err := io.Copy(io.Discard, r)
						return err
					}, func(int, error) {})
				}
				took := time.Since(started) - wait
				if !errors.Is(err, ErrTooSlow) || took < mailconn.RateWindow || took > mailconn.RateWindow+10*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
				_ = server.Close()
				drip.Wait()
			})
		})
	}
}

func TestDialDeadlineAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}
		start := time.Now()
		_, err := Dial(t.Context(), Config{Host: "pop.example.com", Dialer: hang})
		if !fault.Is(err, fault.Temporary) || time.Since(start) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Dial(ctx, Config{Host: "pop.example.com", Dialer: hang}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestPipeliningFillsTheLink counts round trips of 50 ms in virtual time: one
// for each message without pipelining, one for each window with it.
func TestPipeliningFillsTheLink(t *testing.T) {
	const messages, latency = 1000, 25 * time.Millisecond
	trip := func(cfg Config) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			client, server := scripted.Pipe(latency)
			go serveMail(server, 4000)
			cfg.Host, cfg.Security = "pop.example.com", Plain
			cfg.Dialer = func(context.Context, string, string) (net.Conn, error) { return client, nil }
			c, err := Dial(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var reqs []Request
			for i := range messages {
				reqs = append(reqs, Request{Num: i + 1, Size: 4000})
			}
			got := 0
			recv := func(num int, r io.Reader) error {
				if got++; num != got {
					t.Fatalf("message %d instead of %d", num, got)
				}
				_, err := io.Copy(io.Discard, r)
				return err
			}
			start := time.Now()
			if err := c.Retr(t.Context(), reqs, Check{}, recv, func(_ int, err error) { t.Error(err) }); err != nil || got != messages {
				t.Errorf("%d messages, %v", got, err)
			}
			took = time.Since(start)
		})
		return took
	}
	if took := trip(Config{NoPipelining: true}); took != messages*2*latency {
		t.Errorf("without pipelining %v", took)
	}
	if took := trip(Config{}); took > 8*2*latency {
		t.Errorf("pipelined %v, that is %d round trips", took, took/(2*latency))
	}
	// 64 KiB in the window: one round trip for every sixteen messages.
	if took := trip(Config{Window: Window{Bytes: 64 << 10}}); took < messages/17*2*latency {
		t.Errorf("a window of 64 KiB took only %v", took)
	}
}

// serveMail answers CAPA with PIPELINING and everything else with a message.
func serveMail(conn net.Conn, size int) {
	defer conn.Close()
	message := []byte("+OK\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", size/100) + ".\r\n")
	_, _ = conn.Write([]byte("+OK\r\n"))
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(buf[:n])) {
			answer := message
			if line == "CAPA\r\n" {
				answer = []byte("+OK\r\nPIPELINING\r\n.\r\n")
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
}

func TestReceiverMayNotKeepTheStream(t *testing.T) {
	server := scripted.New(t, authScript+"C: RETR 1\nS: +OK\nS: one\nS: .\nC: RETR 2\nS: +OK\nS: two\nS: .\nC: QUIT\nS: +OK\n")
	c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: server.Dial})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(t.Context(), Credentials{Username: "ann", Secret: "pw"}); err != nil {
		t.Fatal(err)
	}
	var kept io.Reader
	err = c.Retr(t.Context(), []Request{{Num: 1}, {Num: 2}}, Check{}, func(_ int, r io.Reader) error {
		if kept != nil {
			if n, err := kept.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("read %d bytes, %v", n, err)
			}
		}
		kept = r
		return nil
	}, func(_ int, err error) { t.Error(err) })
	if err != nil {
		t.Error(err)
	}
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLargeMessageIsNotDrainedForEver(t *testing.T) {
	client, server := scripted.Pipe(0)
	go func() {
		defer server.Close()
		_, _ = server.Write([]byte("+OK\r\n"))
		buf := make([]byte, 4096)
		_, _ = server.Read(buf)
		_, _ = server.Write([]byte("-ERR\r\n"))
		_, _ = server.Read(buf)
		_, _ = server.Write([]byte("+OK\r\n"))
		for range (drainLimit >> 20) + 2 {
			if _, err := server.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}()
	c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, MaxMessage: 100,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return client, nil }})
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = c.Retr(t.Context(), []Request{{Num: 1}, {Num: 2}}, Check{}, func(_ int, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}, func(num int, err error) { failed = errors.Join(failed, err) })
	if !errors.Is(failed, ErrTooLarge) || !fault.Is(err, fault.Temporary) || errors.Is(err, ErrTooLarge) {
		t.Errorf("failed: %v, retr: %v", failed, err)
	}
}
