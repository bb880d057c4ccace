package cli_test

import (
	"context"
	"net"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
)

// popPeer is a POP3 server that a script started.
type popPeer struct {
	server *popserver.Server
	stop   func()
	sent   int
}

func (p *popPeer) send(n int) {
	for range n {
		p.server.Add(testkit.Message(p.sent))
		p.sent++
	}
}

// peersOf finds the servers of a script by the variable that holds their port.
func peersOf(ts *testscript.TestScript) map[string]*popPeer {
	return ts.Value(peersKey{}).(map[string]*popPeer)
}

type peersKey struct{}

func startPOP(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	p := &popPeer{server: popserver.New(popserver.Options{User: args[1], Password: args[2]})}
	go func() { served <- p.server.Serve(ctx, ln) }()
	p.stop = func() {
		cancel()
		<-served
		p.stop = func() {}
	}
	ts.Defer(func() { p.stop() })
	p.send(number(ts, args[3]))
	ts.Setenv(args[0], portOf(ln))
	peersOf(ts)[args[0]] = p
}

func addMail(ts *testscript.TestScript, _ bool, args []string) {
	peersOf(ts)[args[0]].send(number(ts, args[1]))
}

func stopPOP(ts *testscript.TestScript, _ bool, args []string) { peersOf(ts)[args[0]].stop() }

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}
