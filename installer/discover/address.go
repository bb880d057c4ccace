package discover

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/popbridge/popbridge/internal/fault"
)

// maxLocal is the longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const maxLocal = 64

const addressHint = "give the address as it stands in a mail, for example ann@example.com"

// Address is a mail address in the two parts that servers are found by.
type Address struct {
	Local  string // as written; what stands in the quotes where it was quoted
	Domain string // ASCII in lower case: "müller.de" is "xn--mller-kva.de"
	text   string
}

// String returns the address with its domain in ASCII.
func (a Address) String() string { return a.text }

// ParseAddress reads one mail address (RFC 5321 section 4.1.2; local parts in
// UTF-8 by RFC 6531). Space around it is ignored, the domain may be
// internationalised and in capitals. An address literal such as ann@[192.0.2.1]
// and a domain without a dot are refused, because nothing can be looked up for
// them. Errors are faults of kind Config with a hint.
func ParseAddress(s string) (Address, error) {
	s = strings.TrimSpace(s)
	at := strings.LastIndexByte(s, '@')
	switch {
	case s == "":
		return Address{}, fault.New(fault.Config, "there is no mail address", addressHint)
	case at < 0:
		return Address{}, badAddress(s, "there is no @ in it")
	case strings.ContainsAny(s, "<>"):
		return Address{}, badAddress(s, "it has < or > in it")
	case at == 0:
		return Address{}, badAddress(s, "nothing stands before the @")
	}
	local, err := parseLocal(s[:at])
	if err != nil {
		return Address{}, badAddress(s, err.Error())
	}
	domain, err := parseDomain(s[at+1:])
	if err != nil {
		return Address{}, badAddress(s, err.Error())
	}
	return Address{Local: local, Domain: domain, text: s[:at] + "@" + domain}, nil
}

func badAddress(s, why string) error {
	return fault.New(fault.Config, fmt.Sprintf("%s is not a mail address: %s", fault.Quote(s), why), addressHint)
}

// parseLocal returns the local part without its quotes.
func parseLocal(s string) (string, error) {
	if len(s) > maxLocal {
		return "", fmt.Errorf("what stands before the @ is longer than %d bytes", maxLocal)
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return "", fmt.Errorf("it has the character %+q in it", r)
		}
	}
	if strings.HasPrefix(s, `"`) {
		return unquote(s)
	}
	if strings.ContainsAny(s, ` "(),:;[\]`) || strings.Contains(s, "@") {
		return "", fmt.Errorf(`a space or one of "(),:;[\]@ stands before the @`)
	}
	if strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return "", fmt.Errorf("a dot stands at the wrong place before the @")
	}
	return s, nil
}

// unquote reads a quoted string (RFC 5321 section 4.1.2).
func unquote(s string) (string, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"' && i == len(s)-1 && b.Len() > 0:
			return b.String(), nil
		case s[i] == '"':
			return "", fmt.Errorf("the quotes before the @ are not in pairs")
		case s[i] == '\\' && i < len(s)-1:
			i++
		}
		b.WriteByte(s[i])
	}
	return "", fmt.Errorf("the quotes before the @ are not in pairs")
}

// parseDomain returns a domain in ASCII (RFC 5891) and lower case.
func parseDomain(s string) (string, error) {
	s = strings.TrimSuffix(s, ".")
	switch {
	case s == "":
		return "", fmt.Errorf("nothing stands after the @")
	case strings.HasPrefix(s, "["):
		return "", fmt.Errorf("after the @ stands an address of a machine, not a domain")
	case strings.ContainsFunc(s, unicode.IsSpace):
		return "", fmt.Errorf("a space stands after the @")
	}
	domain, ok := hostName(s)
	if !ok {
		return "", fmt.Errorf("what stands after the @ is not a domain")
	}
	return domain, nil
}

// hostName returns a name of the DNS in ASCII and lower case, and whether it is
// one: letters, digits and hyphens, two labels or more, not an IP address.
func hostName(s string) (string, bool) {
	if len(s) > 1024 {
		return "", false
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil || len(name) > 253 {
		return "", false
	}
	// What is mapped to a name that is not valid itself is not a name either.
	if again, err := idna.Lookup.ToASCII(name); err != nil || again != name {
		return "", false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", false
		}
	}
	// No top-level domain is a number (RFC 3696 section 2): 127.1 is an address.
	last := labels[len(labels)-1]
	return name, len(labels) > 1 && strings.Trim(last, "0123456789") != ""
}
