package operations

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pseudonyms replaces names and addresses by others, the same by the same. What is known
// to be a name is replaced wherever it stands as a word; mail addresses, the names of
// hosts and IP addresses are found by their form.
type pseudonyms struct {
	by    map[string]string // in lower case
	count map[string]int    // by kind
	words *regexp.Regexp    // all of by; nil: not made yet
}

func newPseudonyms() *pseudonyms {
	return &pseudonyms{by: map[string]string{}, count: map[string]int{}}
}

// usual are names that every popbridge has, and that say nothing of anyone.
var usual = []string{"", "me", "inbox", "archive", "drafts", "junk", "sent", "trash", "localhost", "127.0.0.1", "::1"}

// name is the pseudonym of a name of this kind: "account-1".
func (p *pseudonyms) name(kind, name string) string {
	before := len(p.by)
	pseudonym := p.found(kind, name)
	if len(p.by) > before {
		p.words = nil
	}
	return pseudonym
}

// found is name for one that is found by its form again.
func (p *pseudonyms) found(kind, name string) string {
	key := strings.ToLower(name)
	if slices.Contains(usual, key) {
		return name
	}
	if p.by[key] == "" {
		p.count[kind]++
		p.by[key] = fmt.Sprintf("%s-%d", kind, p.count[kind])
	}
	return p.by[key]
}

// address makes a user name at a provider known, with its parts.
func (p *pseudonyms) address(kind, address string) string {
	pseudonym := p.name(kind, address)
	if local, domain, ok := strings.Cut(address, "@"); ok {
		p.name("word", local)
		p.name("domain", domain)
	}
	return pseudonym
}

var (
	mailAddress = regexp.MustCompile(`[^\s<>"'(),;:=]+@[^\s<>"'(),;:=]+`)
	hostName    = regexp.MustCompile(`(?i)\b(?:[\pL\pN_-]+\.)+(\pL{2,}|xn--[a-z0-9-]+)\.?`)
	ipAddress   = regexp.MustCompile(`[0-9A-Fa-f]*[0-9A-Fa-f:.]*[:.][0-9A-Fa-f:.]+`)
)

// ours are endings of the names of files, and of nothing in the net that is looked for.
var ours = []string{"toml", "bak", "db", "log", "json", "eml", "pem", "sock", "lock", "path", "go", "password", "old", "tmp", "level", "format", "listen", "tls", "enabled"}

// text replaces what is in a text.
func (p *pseudonyms) text(s string) string {
	s = p.known(s)
	s = mailAddress.ReplaceAllStringFunc(s, func(m string) string { return p.found("address", m) })
	s = hostName.ReplaceAllStringFunc(s, func(m string) string {
		if i := strings.LastIndexByte(m, '.'); slices.Contains(ours, strings.ToLower(m[i+1:])) {
			return m
		}
		return p.found("host", m)
	})
	return ipAddress.ReplaceAllStringFunc(s, func(m string) string {
		text := strings.TrimRight(m, ":.")
		addr, err := netip.ParseAddr(text)
		if err != nil { // with a port
			i := strings.LastIndexByte(text, ':')
			if i < 0 {
				return m
			}
			text = text[:i]
			addr, err = netip.ParseAddr(text)
		}
		if err != nil || addr.IsLoopback() || addr.IsUnspecified() {
			return m
		}
		return p.found("ip", text) + m[len(text):]
	})
}

// known replaces the names that are known, where they are words.
func (p *pseudonyms) known(s string) string {
	if len(p.by) == 0 {
		return s
	}
	if p.words == nil {
		var names []string
		for name := range p.by {
			names = append(names, regexp.QuoteMeta(name))
		}
		p.words = regexp.MustCompile(`(?i)` + strings.Join(names, "|"))
		p.words.Longest()
	}
	var b strings.Builder
	before := utf8.RuneError // the rune before s
	for len(s) > 0 {
		at := p.words.FindStringIndex(s)
		if at == nil {
			break
		}
		if at[0] > 0 {
			before, _ = utf8.DecodeLastRuneInString(s[:at[0]])
		}
		end := at[1]
		for end > at[0] && !wordBetween(before, s, end) { // the next shorter name at the same place
			_, n := utf8.DecodeLastRuneInString(s[:end])
			shorter := p.words.FindStringIndex(s[at[0] : end-n])
			if end = at[0]; shorter != nil && shorter[0] == 0 {
				end += shorter[1]
			}
		}
		if end == at[0] { // none of them is a word here; it is looked for again from the next rune on
			r, n := utf8.DecodeRuneInString(s[end:])
			before = r
			b.WriteString(s[:end+n])
			s = s[end+n:]
			continue
		}
		b.WriteString(s[:at[0]])
		b.WriteString(p.by[strings.ToLower(s[at[0]:end])])
		before, _ = utf8.DecodeLastRuneInString(s[at[0]:end])
		s = s[end:]
	}
	return b.String() + s
}

// wordBetween reports whether a rune and what is behind the end in a text are no parts of
// the word between them.
func wordBetween(before rune, s string, end int) bool {
	after, _ := utf8.DecodeRuneInString(s[end:])
	return !part(before) && !part(after)
}

func part(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}
