package localimap

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

// TestABurstIsTold: of a thousand commits each is told in the end, in a few
// pieces: not one by one.
func TestABurstIsTold(t *testing.T) {
	const n = 1000
	r := newRig(t)
	r.fill(n)
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	k.do("b IDLE", "+")
	box, err := r.store.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for uid := range n {
		if _, err := r.store.Copy(t.Context(), box.ID, []mailstore.UID{mailstore.UID(uid + 1)}, box.ID); err != nil {
			t.Fatal(err)
		}
	}
	pieces := 0
	for last := fmt.Sprintf("* %d EXISTS", 2*n); k.want("* ") != last; {
		pieces++
	}
	// EXISTS and RECENT make two lines a piece.
	if most := 2 * (int(time.Since(start)/mergeWithin) + 2); pieces > most {
		t.Errorf("%d lines, want at most %d", pieces, most)
	}
	k.do("DONE", "b OK")
}

// TestStillHere: an IDLE in which nothing happens is not silent for ever.
func TestStillHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := newSession(New(Options{}), newConn(t.Context(), ours, func() {}))
		s.user = "joe"
		s.conn.start()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := s.in.Next(); err != nil || s.in.Tag() != "a" {
				t.Error(err)
			}
			s.in.SP()
			s.in.Atom()
			_, _ = s.idle()
			s.conn.finish("")
		}()
		if _, err := io.WriteString(theirs, "a IDLE\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(theirs)
		if line, err := r.ReadString('\n'); line != "+ idling\r\n" || err != nil {
			t.Fatal(line, err)
		}
		for range 3 {
			start := time.Now()
			line, err := r.ReadString('\n')
			if passed := time.Since(start); line != "* OK Still here\r\n" || err != nil || passed < stillHereEvery || passed > stillHereEvery+mergeWithin {
				t.Fatalf("%q, %v after %v", line, err, passed)
			}
		}
		_ = theirs.Close()
		<-done
	})
}

// BenchmarkPush is how long after a commit an idling client has read of it,
// while other clients idle on the same mailbox.
func BenchmarkPush(b *testing.B) {
	for _, clients := range []int{1, 64, 200} {
		b.Run(fmt.Sprintf("%d clients", clients), func(b *testing.B) {
			r := newRig(b, anyDevice)
			r.fill(10000)
			var all []*talk
			for i := range clients {
				all = append(all, r.idle(i, r.dial()))
			}
			var first, last time.Duration
			for b.Loop() {
				<-time.After(2 * mergeWithin) // a change on its own
				r.deliver("INBOX", nil, fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", time.Now().UnixNano()))
				committed := time.Now()
				for i, k := range all {
					k.want("* ") // EXISTS
					k.want("* ") // RECENT
					if i == 0 {
						first += time.Since(committed)
					}
				}
				last += time.Since(committed)
			}
			b.ReportMetric(float64(first.Microseconds())/float64(b.N)/1000, "ms/first")
			b.ReportMetric(float64(last.Microseconds())/float64(b.N)/1000, "ms/all")
			b.ReportMetric(0, "ns/op") // of the pause
		})
	}
}

// BenchmarkIdleConnection is the memory that the server needs for a client that
// idles on an INBOX of 10,000 messages, once the first has opened that.
func BenchmarkIdleConnection(b *testing.B) {
	ca := testkit.CA(b)
	for _, secure := range []bool{false, true} {
		for _, n := range []int{1, 64, 199} {
			b.Run(fmt.Sprintf("%s/%d clients", map[bool]string{false: "plain", true: "TLS"}[secure], n), func(b *testing.B) {
				r := newRig(b, anyDevice, func(o *Options) {
					if secure {
						o.Security, o.TLS = serving.Implicit, ca.ServerConfig
					}
				})
				r.fill(10000)
				var sum int64
				for b.Loop() {
					sum += r.idleMemory(n, ca, secure)
				}
				b.ReportMetric(float64(sum)/float64(b.N)/float64(n), "bytes/conn")
			})
		}
	}
}

func (r *rig) idleMemory(n int, ca *testkit.TLS, secure bool) int64 {
	connect := func(i int) net.Conn {
		raw, c := r.dial(), net.Conn(nil)
		if c = raw; secure {
			c = tls.Client(raw, clientTLS(&tls.Config{RootCAs: ca.CertPool}))
		}
		r.idle(i, c)
		return raw // what the client needs for TLS is garbage now
	}
	clients := []net.Conn{connect(n)}
	before := inUse()
	for i := range n {
		clients = append(clients, connect(i))
	}
	used := inUse() - before
	for _, c := range clients {
		_ = c.Close()
	}
	for r.server.Clients() > 0 {
		runtime.Gosched()
	}
	return used
}

// inUse is what is left after the garbage, stacks of goroutines included.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// anyDevice takes the password for the name of the device.
func anyDevice(o *Options) {
	login := o.Login
	o.Login = func(ctx context.Context, from net.Addr, user, password string) (Account, error) {
		who, err := login(ctx, from, user, "pw")
		who.Device = mailstore.Device{Name: password}
		return who, err
	}
}

// idle returns a client that idles, the i-th: some on each device.
func (r *rig) idle(i int, c net.Conn) *talk {
	r.t.Helper()
	k := &talk{t: r.t, conn: c, r: bufio.NewReader(c)}
	k.want("* OK")
	k.do(fmt.Sprintf("a LOGIN joe device%d", i/maxPerDevice), "a OK")
	k.do("b SELECT INBOX", "b OK")
	k.do("c IDLE", "+")
	return k
}
