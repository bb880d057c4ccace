package agent

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
)

// heldOnIPv6 returns a port that is held on [::1].
func heldOnIPv6(t *testing.T) (held net.Listener, port string) {
	t.Helper()
	held, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	t.Cleanup(func() { _ = held.Close() })
	_, port, _ = net.SplitHostPort(held.Addr().String())
	return held, port
}

// Whatever localhost is on this machine, it is popbridge that answers there.
// Another program on [::1] is a condition, ends nothing, and the address is had
// once it is free.
func TestLocalhostIsServedInBothFamilies(t *testing.T) {
	t.Parallel()
	held, port := heldOnIPv6(t)
	r := newRig(t)
	_, popPort := agenttest.POP(t, "home", 1)
	home := agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: popPort}
	r.Configure(strings.Replace(agenttest.Plain, "127.0.0.1:0", "127.0.0.1:"+port, 1), home)
	r.Start()
	if got := r.Codes(); got != "imap-port-busy" {
		t.Errorf("health while another program has [::1]: %q", got)
	}
	if got := fmt.Sprint(r.Status().Listen); got != "[127.0.0.1:"+port+"]" {
		t.Errorf("listening on %s", got)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	both := "[127.0.0.1:" + port + " [::1]:" + port + "]"
	agenttest.Eventually(t, "both are had", func() bool { return r.Codes() == "" && fmt.Sprint(r.Status().Listen) == both })
	r.Sync()
	if got := agenttest.Read(t, "[::1]:"+port, "ann", "INBOX"); len(got) != 1 {
		t.Errorf("%d messages by way of [::1]", len(got))
	}

	// An address that is configured itself is had once; one that is gone from the
	// config takes the other with it.
	r.Configure(strings.Replace(agenttest.Plain, `"127.0.0.1:0"`, `"127.0.0.1:`+port+`", "[::1]:`+port+`"`, 1), home)
	r.Agent.Reload()
	agenttest.Eventually(t, "both are still had", func() bool { return r.Codes() == "" && fmt.Sprint(r.Status().Listen) == both })
	r.Configure(agenttest.Plain, home)
	r.Agent.Reload()
	agenttest.Eventually(t, "only one is left", func() bool { return len(r.Status().Listen) == 1 })
}

// Connections that say nothing lock no one out, and health says that there are
// too many.
func TestACrowdIsACondition(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Home(1)
	r.Start()
	for range 60 {
		c, err := net.Dial("tcp", r.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK") {
			t.Fatalf("greeted with %q, %v", line, err)
		}
	}
	if got := r.Codes(); got != "imap-crowded" {
		t.Errorf("health: %q", got)
	}
	_ = agenttest.Login(t, r.Addr, "ann", nil).Close()
}
