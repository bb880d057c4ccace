package localimap

import (
	"bytes"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// offer corrects what the library says that the server can do. The library has
// a set of capabilities to be given, but names IDLE and others whatever is in
// it, and UTF8=ACCEPT too, after which it gets mailbox names with & wrong both
// ways (RFC 6855 section 3 has them without modified UTF-7).
type offer struct {
	without []string // not announced, not enabled
	due     bool     // the next response may announce; other text is left alone
}

// offerTo returns the offer to a device, as it is announced at login.
func offerTo(without []string) offer {
	without = append([]string{string(imap.CapUTF8Accept)}, without...)
	// IMAP4rev2 goes with all that is part of it (RFC 9051 appendix E).
	if slices.ContainsFunc(without[1:], func(name string) bool { return name != string(imap.CapCreateSpecialUse) }) {
		without = append(without, string(imap.CapIMAP4rev2))
	}
	return offer{without, true}
}

// command takes the first line of a command, and returns it as the library may
// read it: ENABLE passes over what it does not know (RFC 5161 section 3.1), and
// the library knows too much.
func (o *offer) command(line []byte) []byte {
	words := bytes.Fields(line)
	o.due = len(words) == 2 && bytes.EqualFold(words[1], []byte("CAPABILITY"))
	if len(words) > 2 && bytes.EqualFold(words[1], []byte("ENABLE")) {
		return o.strip(line)
	}
	return line
}

// response takes what the library writes, and returns what is sent.
func (o *offer) response(p []byte) []byte {
	if !o.due || !bytes.HasPrefix(p, []byte("* CAPABILITY ")) && !bytes.Contains(p, []byte(" OK [CAPABILITY ")) {
		return p
	}
	o.due = false
	return o.strip(p)
}

func (o *offer) strip(line []byte) []byte {
	words := strings.Split(string(line), " ")
	kept := words[:1]
	for _, w := range words[1:] {
		name := strings.TrimRight(w, "]\r\n")
		if slices.ContainsFunc(o.without, func(off string) bool { return strings.EqualFold(off, name) }) {
			kept[len(kept)-1] += w[len(name):]
		} else {
			kept = append(kept, w)
		}
	}
	return []byte(strings.Join(kept, " "))
}
