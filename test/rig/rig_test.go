package rig

import (
	"bytes"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDovecotServesWhatWasPut(t *testing.T) {
	Need(t, "dovecot")
	ca := testkit.CA(t)
	d, err := StartDovecot(t.Context(), ca.CertFile, ca.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var want [][]byte
	for n := range 30 {
		want = append(want, testkit.Message(n))
	}
	if err := d.Put("ann", want[:20]...); err != nil {
		t.Fatal(err)
	}
	if err := d.Put("ann", want[20:]...); err != nil {
		t.Fatal(err)
	}
	got, err := Retrieve(Addr(d.POP3), "ann")
	if err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("message %d came back different", i)
		}
	}
	if n, err := d.Count("ann"); err != nil || n != len(want) {
		t.Errorf("%d messages on disk, want %d; %v", n, len(want), err)
	}
}

func TestRenumberedMailIsTheSameUnderOtherIDs(t *testing.T) {
	Need(t, "dovecot")
	d, err := StartDovecot(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for n := range 20 {
		if err := d.Put("ann", testkit.Message(n)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for range 5 { // each time the session before may just be ending
		ids, err := UIDLs(Addr(d.POP3), "ann")
		if err != nil || len(ids) != 20 {
			t.Fatalf("%d ids, %v\n%s", len(ids), err, d.Log())
		}
		for _, id := range ids {
			if seen[id] {
				t.Errorf("the id %s came back", id)
			}
			seen[id] = true
		}
		got, err := Retrieve(Addr(d.POP3), "ann")
		if err != nil || len(got) != 20 {
			t.Fatalf("%d messages, %v\n%s", len(got), err, d.Log())
		}
		for n := range got {
			if !bytes.Equal(got[n], testkit.Message(n)) {
				t.Errorf("message %d is another one", n+1)
			}
		}
		if err := d.Renumber("ann"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinkTakesARoundTrip(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		conn, err := echo.Accept()
		if err == nil {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	const rtt = 40 * time.Millisecond
	link, err := StartLink(echo.Addr().(*net.TCPAddr).Port, rtt)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	conn, err := net.Dial("tcp", Addr(link.Port))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	if took := time.Since(start); took < rtt {
		t.Errorf("the round trip took %v, less than %v", took, rtt)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is submitted to the Postfix with a password arrives in the Dovecot.
func TestPostfixDelivers(t *testing.T) {
	Need(t, "dovecot", "postfix", "curl")
	NeedRoot(t)
	ca := testkit.CA(t)
	d, err := StartDovecot(t.Context(), ca.CertFile, ca.KeyFile, PostfixAuth)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	p, err := StartPostfix(t.Context(), d, []string{"ann", "bob"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}()
	curl := exec.CommandContext(t.Context(), "curl", "-sS", "--ssl-reqd", "-k", "--url", "smtp://"+Addr(p.SMTP), "-u", "ann:"+Password,
		"--mail-from", "ann@example.org", "--mail-rcpt", "bob@example.org", "-T", "-")
	curl.Stdin = strings.NewReader("From: ann@example.org\r\nSubject: x\r\n\r\nhello\r\n")
	if out, err := curl.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, p.Log())
	}
	got, err := WaitMail(t.Context(), d, "bob", 1)
	if err != nil || !bytes.Contains(got[0], []byte("\r\n\r\nhello\r\n")) {
		t.Errorf("%q, %v\n%s", got, err, p.Log())
	}
}
