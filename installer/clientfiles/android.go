package clientfiles

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
)

// AndroidQR is what a QR code says that Thunderbird for Android and K-9 import
// (Thunderbird's "Export for Mobile" format, version 1 of 2025-02-06). It is ASCII. The
// format wants an outgoing server and takes addresses in ASCII only, so there has to be
// an identity with both; the error is a fault that says so.
func (m Mailbox) AndroidQR() (string, error) {
	var groups []any
	for _, id := range m.Identities {
		if !id.SMTP.Known() || !ascii(id.Address) {
			continue
		}
		server := append([]any{0}, androidServer(id.SMTP)...)
		groups = append(groups, []any{server, []any{id.Address, id.Address}})
	}
	if len(groups) == 0 {
		return "", fault.New(fault.NotFound, "there is no QR code for Android, because it has to name an outgoing server, and none is known",
			"enter the values by hand")
	}
	incoming := append([]any{0}, androidServer(discover.Server{Host: m.Host, Port: m.Port, TLS: m.TLS, Username: m.User})...)
	text, err := json.Marshal([]any{1, []any{1, 1}, append(incoming, m.name()), groups})
	if err != nil {
		return "", fmt.Errorf("make a QR code: %w", err)
	}
	return escapeJSON(string(text)), nil
}

// androidServer is a server without its protocol.
func androidServer(s discover.Server) []any {
	security := map[discover.Security]int{discover.None: 0, discover.StartTLS: 2, discover.Implicit: 3}[s.TLS]
	auth := 1 // the password
	switch {
	case s.Username == "":
		auth = 0
	case s.OAuth2Only():
		auth = 6
	}
	return []any{s.Host, s.Port, security, auth, s.Username}
}

// escapeJSON writes what is not ASCII as JSON escapes (RFC 8259 section 7).
func escapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
