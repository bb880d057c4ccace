package oauthtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Dovecot returns settings with which a Dovecot 2.3 takes the access tokens of the
// server (XOAUTH2 and OAUTHBEARER) beside passwords. A token is good for the user
// that it was issued to.
func (s *Server) Dovecot(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "dovecot-oauth2.conf")
	conf := "introspection_mode = post\nintrospection_url = " + s.IntrospectURL() +
		"\nusername_attribute = email\nactive_attribute = active\nactive_value = true\n"
	if err := os.WriteFile(name, []byte(conf), 0o644); err != nil { // read by a user of Dovecot's
		t.Fatal(err)
	}
	return fmt.Sprintf("auth_mechanisms = plain login xoauth2 oauthbearer\npassdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = %s\n}\n", name)
}
