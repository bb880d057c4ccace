package oauthtest_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/internal/sasl"
	"github.com/popbridge/popbridge/test/rig"
)

// A real Dovecot takes the tokens, and only those that are good for the user.
func TestDovecotTakesTokens(t *testing.T) {
	rig.Need(t, "dovecot")
	s := oauthtest.New(t)
	d, err := rig.StartDovecot(t.Context(), "", "", s.Dovecot(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	good, revoked, bob := s.Issue(ann), s.Issue("carol@example.com"), s.Issue("bob@example.com")
	s.RevokeAccess("carol@example.com")
	for _, tt := range []struct {
		user, token string
		ok          bool
	}{
		{ann, good.Access, true},
		{ann, bob.Access, false},
		{"carol@example.com", revoked.Access, false},
	} {
		for _, m := range sasl.Mechanisms(sasl.Credentials{Username: tt.user, Secret: tt.token, Token: true}, "127.0.0.1", d.POP3) {
			if ok, reply := login(t, d.POP3, m); ok != tt.ok {
				t.Errorf("%s as %s: %s\n%s", m.Name, tt.user, reply, d.Log())
			}
		}
	}
}

// login is AUTH of RFC 5034.
func login(t *testing.T, port int, m *sasl.Mechanism) (ok bool, reply string) {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	read := func() string {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(line, "\r\n")
	}
	read()
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\n", m.Name); err != nil {
		t.Fatal(err)
	}
	for {
		reply = read()
		challenge, more := strings.CutPrefix(reply, "+ ")
		if !more {
			return strings.HasPrefix(reply, "+OK"), reply
		}
		raw, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			t.Fatal(err)
		}
		response, err := m.Step(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "%s\r\n", base64.StdEncoding.EncodeToString(response)); err != nil {
			t.Fatal(err)
		}
	}
}
