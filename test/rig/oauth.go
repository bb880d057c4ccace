package rig

import (
	"fmt"
	"os"
	"path/filepath"
)

// DovecotOAuth is a setting of StartDovecot with which it takes access tokens that an
// authorisation server knows (RFC 7662), by OAUTHBEARER and XOAUTH2. Its file is made in
// a folder that every user can read.
func DovecotOAuth(introspectURL, dir string) (string, error) {
	file := filepath.Join(dir, "dovecot-oauth2.conf")
	text := fmt.Sprintf("introspection_mode = post\nintrospection_url = %s\nusername_attribute = username\nactive_attribute = active\nactive_value = true\n", introspectURL)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return "", err
	}
	return "auth_mechanisms = plain login oauthbearer xoauth2\npassdb {\n  driver = oauth2\n  mechanisms = oauthbearer xoauth2\n  args = " + file + "\n}\n", nil
}
