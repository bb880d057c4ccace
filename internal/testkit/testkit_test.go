package testkit_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

func TestModuleRootHoldsGoMod(t *testing.T) {
	if _, err := os.Stat(filepath.Join(testkit.ModuleRoot(t), "go.mod")); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesAreDeterministicDistinctAndCRLF(t *testing.T) {
	seen := make(map[string]int)
	dots := false
	for n := range 500 {
		m := testkit.Message(n)
		if !bytes.Equal(m, testkit.Message(n)) {
			t.Fatalf("message %d differs from itself", n)
		}
		if other, dup := seen[string(m)]; dup {
			t.Fatalf("messages %d and %d are the same", other, n)
		}
		seen[string(m)] = n
		if lf, crlf := bytes.Count(m, []byte("\n")), bytes.Count(m, []byte("\r\n")); lf != crlf || bytes.Count(m, []byte("\r")) != crlf {
			t.Fatalf("message %d has line ends other than CRLF", n)
		}
		dots = dots || bytes.Contains(m, []byte("\r\n.\r\n"))
		parsed, err := mail.ReadMessage(bytes.NewReader(m))
		if err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		if _, err := parsed.Header.AddressList("From"); err != nil {
			t.Fatalf("message %d: From: %v", n, err)
		}
		if date, err := parsed.Header.Date(); err != nil || !date.Equal(testkit.MessageTime(n)) {
			t.Fatalf("message %d: Date: %v, %v", n, date, err)
		}
	}
	if !dots {
		t.Error("no message has a line that is a dot alone")
	}
}

func TestCASignsForLoopback(t *testing.T) {
	ca := testkit.CA(t)
	pair, err := tls.LoadX509KeyPair(ca.CertFile, ca.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, err = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
		done <- err
	}()
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: ca.CertPool})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
