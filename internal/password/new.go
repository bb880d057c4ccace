package password

import (
	"crypto/rand"
	"strings"
)

// New makes a password of 100 random bits that can be typed: groups of letters and the
// digits 2 to 7 (RFC 4648 base32).
func New() string {
	text := strings.ToLower(rand.Text())
	var groups []string
	for i := range 5 {
		groups = append(groups, text[4*i:4*i+4])
	}
	return strings.Join(groups, "-")
}
