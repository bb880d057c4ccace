package bridge

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
)

// newServer runs a well-behaved server on TCP and returns how to reach it.
func newServer(t testing.TB, opts popserver.Options, messages int) (*popserver.Server, pop3.Config) {
	t.Helper()
	opts.User, opts.Password = "home", "secret"
	server := popserver.New(opts)
	for n := range messages {
		server.Add(testkit.Message(n))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server, pop3.Config{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, Security: pop3.Plain}
}

// Over STLS into a store, with another server implementation than the other
// tests.
func TestOverSTLS(t *testing.T) {
	ca := testkit.CA(t)
	server, cfg := newServer(t, popserver.Options{TLS: ca.ServerConfig}, 40)
	cfg.Security = pop3.StartTLS
	cfg.TLS = ca.ServerConfig.Clone()
	cfg.TLS.RootCAs = ca.CertPool
	g := newRig(t, plan.KeepNever())
	g.runner.account.Server = cfg
	if result := g.poll(); result.Stored != 40 || result.Deleted != 40 || server.Messages() != 0 {
		t.Errorf("result %+v, %d left", result, server.Messages())
	}
	g.wantMail(0, 40)
	for i, m := range dates(t, g.store) {
		if want := testkit.MessageTime(i); m.Sub(want).Abs() > 24*time.Hour {
			t.Fatalf("message %d was received at %v, want about %v", i, m, want)
		}
	}
}

// BenchmarkFirstFetch is the first poll of a mailbox of 2,000 messages over
// TCP on this machine into a store on a disk.
func BenchmarkFirstFetch(b *testing.B) {
	const messages = 2000
	_, cfg := newServer(b, popserver.Options{}, messages)
	for b.Loop() {
		b.StopTimer()
		g := newRig(b, plan.KeepForever())
		g.runner.account.Server = cfg
		b.StartTimer()
		result := g.poll()
		if result.Stored != messages {
			b.Fatalf("result %+v", result)
		}
		b.SetBytes(result.Bytes)
	}
	b.ReportMetric(float64(messages*b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkPoll is a poll of 20,000 messages of which none is new.
func BenchmarkPoll(b *testing.B) {
	const messages = 20_000
	_, cfg := newServer(b, popserver.Options{}, messages)
	g := newRig(b, plan.KeepForever())
	g.runner.account.Server = cfg
	g.poll()
	for b.Loop() {
		if result := g.poll(); result.OnServer != messages {
			b.Fatalf("result %+v", result)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(messages*b.N), "ns/message")
}
