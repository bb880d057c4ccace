package cli

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/testkit"
)

// A mail program is told of a port that is free: the one that another program has gets
// another one in the config, whose comments stay.
func TestAPortThatIsTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	for name, text := range map[string]string{
		"named":   "# mine\n[imap]\nlisten = [\"%s\"] # here\n[smtp]\nlisten = []\n[web]\nlisten = \"off\"\n",
		"sending": "[imap]\nlisten = [\"127.0.0.1:0\"]\n[smtp]\nlisten = [\"127.0.0.1:0\", \"%s\"]\n[web]\nlisten = \"off\"\n",
		"several": "[imap]\nlisten = [\"127.0.0.1:0\", \"%s\"]\n[smtp]\nlisten = []\n[web]\nlisten = \"off\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), &bytes.Buffer{}
			a := newApp(strings.NewReader(""), out, out)
			a.configPath = filepath.Join(dir, "config.toml")
			busy := ln.Addr().String()
			if err := os.WriteFile(a.configPath, fmt.Appendf(nil, "data_dir = 'data'\n"+text, busy), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time there is nothing to do
				if err := a.freePorts(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			cfg, err := a.loadConfig()
			if err != nil {
				t.Fatal(err)
			}
			listen, does := cfg.IMAP.Listen, "connect to"
			if name == "sending" {
				listen, does = cfg.SMTP.Listen, "send by"
			}
			got := listen[len(listen)-1]
			if got == busy || !strings.HasPrefix(got, "127.0.0.1:") {
				t.Errorf("listens on %v", listen)
			}
			if want := "  another program has the address " + busy + ", so mail programs " + does + " " + got + "; that is in the config now\n"; out.String() != want {
				t.Errorf("said %q, want %q", out, want)
			}
			after, err := os.ReadFile(a.configPath)
			if err != nil || strings.Contains(text, "# mine") && (!strings.Contains(string(after), "# mine\n") || !strings.Contains(string(after), "] # here\n")) {
				t.Errorf("%s, %v", after, err)
			}
		})
	}
}

// The next port is none that is in the config already, and an address that this machine
// does not have stays as it is.
func TestFreePort(t *testing.T) {
	busy := 65535
	for busy > 65000 { // others come after it
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		busy = ln.Addr().(*net.TCPAddr).Port
	}
	var list []string
	for p := busy; p < busy+50; p++ {
		list = append(list, fmt.Sprintf("127.0.0.1:%d", p))
	}
	got, err := freePort(t.Context(), "imap", list[0], list)
	if err != nil || slices.Contains(list, got) || !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("%s, %v", got, err)
	}
	const foreign = "192.0.2.1:1143" // RFC 5737
	if got, err := freePort(t.Context(), "imap", foreign, []string{foreign}); err != nil || got != foreign {
		t.Errorf("%s, %v", got, err)
	}
}

// A server whose certificate cannot be trusted is not asked for STARTTLS as well, and what
// to do is something that can be done.
func TestAServerWithItsOwnCertificate(t *testing.T) {
	ca := testkit.CA(t)
	cert, err := tls.LoadX509KeyPair(ca.CertFile, ca.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_ = c.(*tls.Conn).Handshake() // which the other side ends
			_ = c.Close()
		}
	}()
	defer func() { _ = ln.Close(); <-done }()
	out := &bytes.Buffer{}
	a := newApp(strings.NewReader(ln.Addr().String()+"\n\n"), out, out)
	address, err := discover.ParseAddress("ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := a.askServer(t.Context(), address); err != nil || s.Known() {
		t.Errorf("%v, %v", s, err)
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("it was connected to %d times", n)
	}
	for _, want := range []string{"certificate", "popbridge account add --address ADDRESS --host HOST ca_file=FILE", "tls_pin=sha256:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not said: %s\n%s", want, out)
		}
	}
}
