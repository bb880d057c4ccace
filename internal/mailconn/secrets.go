package mailconn

import "strings"

// Hidden stands in place of a secret.
const Hidden = "***"

// Secrets are what must not appear in a log or an error text. The zero value has
// none.
type Secrets struct{ list []string }

// Add makes s one of them.
func (h *Secrets) Add(s string) {
	if s != "" {
		h.list = append(h.list, s)
	}
}

// Mask hides secrets that a server echoes, as some do with a command they don't
// know.
func (h *Secrets) Mask(text string) string {
	for _, secret := range h.list {
		text = strings.ReplaceAll(text, secret, Hidden)
	}
	return text
}
