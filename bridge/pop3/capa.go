package pop3

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Capabilities is the server's answer to CAPA (RFC 2449 section 5). The zero
// value stands for a server that has no CAPA.
type Capabilities struct {
	tags map[string][]string // arguments by tag, both in upper case; nil without CAPA
}

// What is taken of an answer to CAPA: tags that are kept, and bytes of it all.
const (
	maxCapabilities = 256
	maxCapaBytes    = 1 << 20
)

// Known reports whether the server answered CAPA at all.
func (c Capabilities) Known() bool { return c.tags != nil }

// Has reports whether the tag was announced.
func (c Capabilities) Has(tag string) bool {
	_, ok := c.tags[strings.ToUpper(tag)]
	return ok
}

// List returns every tag with its arguments, sorted.
func (c Capabilities) List() (list []string) {
	for _, tag := range slices.Sorted(maps.Keys(c.tags)) {
		list = append(list, strings.Join(append([]string{tag}, c.tags[tag]...), " "))
	}
	return list
}

// Args are the arguments of a tag, in upper case.
func (c Capabilities) Args(tag string) []string { return c.tags[strings.ToUpper(tag)] }

// SASL reports whether the mechanism was announced.
func (c Capabilities) SASL(mechanism string) bool {
	return slices.Contains(c.Args("SASL"), strings.ToUpper(mechanism))
}

// Pipelining reports whether commands may be sent ahead of the answers (RFC
// 2449 section 6.6).
func (c Capabilities) Pipelining() bool { return c.Has("PIPELINING") }

// LoginDelay is the least time between two logins (RFC 2449 section 6.5), zero
// where none was announced.
func (c Capabilities) LoginDelay() time.Duration {
	seconds, ok := c.number("LOGIN-DELAY")
	if !ok {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// Expire is the number of days the server keeps mail (RFC 2449 section 6.7),
// and -1 for NEVER. known is false where the server did not say.
func (c Capabilities) Expire() (days int, known bool) {
	if slices.Contains(c.Args("EXPIRE"), "NEVER") {
		return -1, true
	}
	return c.number("EXPIRE")
}

func (c Capabilities) number(tag string) (int, bool) {
	args := c.Args(tag)
	if len(args) == 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		return 0, false
	}
	return int(n), true
}

// capa asks for the capabilities. A server that does not know CAPA leaves what
// is known in force.
func (c *Client) capa() error {
	if c.cfg.NoCAPA {
		return nil
	}
	if _, err := c.command("CAPA"); err != nil {
		if isReply(err) {
			return nil
		}
		return err
	}
	caps := Capabilities{tags: make(map[string][]string)}
	if err := c.multiline(maxCapaBytes, func(line []byte, _ bool) { caps.add(string(line)) }); err != nil {
		return err
	}
	c.caps = caps
	return nil
}

func (c Capabilities) add(line string) {
	fields := strings.Fields(strings.ToUpper(line))
	if len(fields) == 0 || len(c.tags) >= maxCapabilities {
		return
	}
	// A tag given twice, as two lines of SASL, means both.
	c.tags[fields[0]] = append(c.tags[fields[0]], fields[1:]...)
}
