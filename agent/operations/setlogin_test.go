package operations_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func TestSetLogin(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	d, err := r.Ops().AccountDetails(t.Context(), operations.AccountName{Account: "home"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.Dir, "password")
	before, stored := r.Text(), func() string {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	ask := operations.SetLogin{Account: "home", Server: d.Server, Password: "guess"}
	tried, err := r.Ops().SetLogin(t.Context(), ask)
	if err != nil || !tried.Refused || stored() != agenttest.POPPassword {
		t.Errorf("a wrong password: %+v, %v; stored %s", tried, err, stored())
	}
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask.Password = agenttest.POPPassword
	if tried, err = r.Ops().SetLogin(t.Context(), ask); err != nil || tried.Error != "" || tried.Messages != 3 || stored() != agenttest.POPPassword || r.Text() != before {
		t.Errorf("the right one: %+v, %v; stored %s\n%s", tried, err, stored(), r.Text())
	}
	_, ask.Server.Port = agenttest.POP(t, "home", 1)
	if tried, err = r.Ops().SetLogin(t.Context(), ask); err != nil || tried.Messages != 1 || r.Load().Accounts[0].Port != ask.Server.Port {
		t.Errorf("another server: %+v, %v", tried, err)
	}
	ask.Server.Host = "a b"
	if tried, err = r.Ops().SetLogin(t.Context(), ask); err != nil || len(tried.Wrong) != 1 || tried.Wrong[0].Key != "host" {
		t.Errorf("no host: %+v, %v", tried, err)
	}
	// A command is not replaced, nor a file that another account has as well.
	r.Reload(agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: d.Server.Port}, agenttest.Account{Name: "work", User: "ann", Folder: "INBOX", Port: ask.Server.Port})
	ask.Server = d.Server
	if _, err = r.Ops().SetLogin(t.Context(), ask); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("a shared file: %v", err)
	}
	r.Reload(agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: d.Server.Port, Replace: []string{`password_file = "password"`, `password_command = ["echo", "x"]`}})
	if _, err = r.Ops().SetLogin(t.Context(), ask); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("a command: %v", err)
	}
}

// hooked calls a function before each connection is served.
type hooked struct {
	net.Listener
	hook func()
}

func (h hooked) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil {
		h.hook()
	}
	return c, err
}

// Where the server or the password cannot be written, both are as they were: neither is a
// server sent the password of the other one.
func TestSetLoginIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir, config string) error{
		"config": func(dir, config string) error {
			head, _, _ := strings.Cut(config, "[[account]]")
			return os.WriteFile(filepath.Join(dir, "config.toml"), []byte(head), 0o600)
		},
		"password": func(dir, _ string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "password"), filepath.Join(dir, "kept")), os.Mkdir(filepath.Join(dir, "password"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, _ := agenttest.OneUser(t, open)
			if err := os.WriteFile(filepath.Join(r.Dir, "password"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			before := r.Load().Accounts[0]
			text := r.Text()
			agenttest.ServePOP(t, "home", 1, hooked{ln, sync.OnceFunc(func() {
				if err := spoil(r.Dir, text); err != nil {
					t.Error(err)
				}
			})})
			server := operations.MailServer{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: "none", Username: "home"}
			if _, err := r.Ops().SetLogin(t.Context(), operations.SetLogin{Account: "home", Server: server, Password: agenttest.POPPassword}); err == nil || fault.Hint(err) == "" {
				t.Errorf("it was spoilt: %v", err)
			}
			for _, got := range r.Load().Accounts {
				if got.Port != before.Port || got.Username != before.Username {
					t.Errorf("the server is %s:%d", got.Host, got.Port)
				}
			}
			file := filepath.Join(r.Dir, map[string]string{"config": "password", "password": "kept"}[name])
			if data, err := os.ReadFile(file); err != nil || string(data) != "old" {
				t.Errorf("the password is %s, %v", data, err)
			}
		})
	}
}
