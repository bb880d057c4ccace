package operations_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// TestProbeSending: the outgoing server is tried with the password of the account, also
// where fetching fails; not where popbridge does not send, nor with a password that was
// refused a moment ago.
func TestProbeSending(t *testing.T) {
	for _, tt := range []struct {
		name, head, script string
		change             []string
		asked, fails, pop  bool
	}{
		{name: "taken", script: smtptest.Hello() + smtptest.Login() + smtptest.Quit, asked: true, pop: true},
		{name: "refused", script: smtptest.Hello() + smtptest.LoginAnswer("535 5.7.8 no such password"), asked: true, fails: true, pop: true},
		{name: "no POP server", script: smtptest.Hello() + smtptest.Login() + smtptest.Quit, change: []string{"host = \"127.0.0.1\"\nport = ", "host = \"127.0.0.1\"\nport = 1 # "}, asked: true},
		{name: "POP refuses", change: []string{"username = \"home\"", "username = \"bob\""}},
		{name: "switched off", head: "[smtp]\nlisten = []\n", pop: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			_, port := agenttest.POP(t, "home", 2)
			outPort := 1 // where nobody listens
			if tt.asked {
				outPort = scripted.Listen(t, tt.script).Port()
			}
			home := agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port, Replace: tt.change,
				More: fmt.Sprintf("address = \"ann@example.com\"\n[account.send]\nport = %d\nhost = \"127.0.0.1\"\ntls = \"none\"", outPort)}
			r.Configure(agenttest.Plain+tt.head, home)
			r.Agent = r.Open()
			defer func() { _ = r.Agent.Close() }()
			probes, err := r.Ops().Probe(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := probes[0]
			if (p.Error == "") != tt.pop {
				t.Errorf("fetching: %q", p.Error)
			}
			switch s := p.Sending; {
			case s == nil:
				if tt.asked {
					t.Error("the outgoing server was not asked")
				}
			case !tt.asked || s.Server != fmt.Sprintf("127.0.0.1:%d", outPort) || (s.Error != "") != tt.fails || (s.Hint != "") != tt.fails:
				t.Errorf("sending: %+v", s)
			}
		})
	}
}

// TestTriedLimits: what a server announces in a login that tries it counts for what mail
// programs are told, before anything was sent.
func TestTriedLimits(t *testing.T) {
	t.Parallel()
	out := scripted.Listen(t, smtptest.Hello("SIZE 5000", "SMTPUTF8", "DSN")+smtptest.Login()+smtptest.Quit)
	r := newRig(t)
	_, port := agenttest.POP(t, "home", 0)
	r.Configure(agenttest.Plain+"[smtp]\nlisten = [\"127.0.0.1:0\"]\ntls = \"off\"\n",
		agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port, More: sendsBy(out.Port(), "ann@example.com")})
	r.Start()
	agenttest.Eventually(t, "the server for sending", func() bool { return len(r.Status().SMTP) > 0 })
	if got := announced(t, r); strings.Contains(got, "SIZE 5000") || strings.Contains(got, "SMTPUTF8") || strings.Contains(got, "DSN") {
		t.Errorf("before: %s", got)
	}
	if _, err := r.Ops().Probe(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := announced(t, r); !strings.Contains(got, "SIZE 5000") || !strings.Contains(got, "SMTPUTF8") || !strings.Contains(got, "DSN") {
		t.Errorf("after: %s", got)
	}
}

// announced is what the submission server says to EHLO.
func announced(t *testing.T, r *agenttest.Rig) (all string) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Status().SMTP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("EHLO x\r\nQUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		all += lines.Text() + "\n"
	}
	return all
}
