package smtp

import (
	"slices"
	"strconv"
	"strings"
)

// Extensions is what the server announced in its answer to EHLO (RFC 5321 section
// 4.1.1.1). The zero value stands for a server that has no EHLO.
type Extensions struct {
	Size       int64 // bytes of the largest message; 0: no limit was told
	EightBit   bool  // 8BITMIME
	UTF8       bool  // SMTPUTF8
	Pipelining bool
	DSN        bool // what a sender asks to be told of a delivery (RFC 3461)

	startTLS bool
	size     bool     // SIZE, with or without a limit
	auth     []string // mechanisms, in upper case
}

// newExtensions parses the lines of the answer to EHLO. The first is a greeting.
func newExtensions(lines []string) (e Extensions) {
	for _, line := range lines[min(1, len(lines)):] {
		// "AUTH=LOGIN" is older than RFC 4954 and still seen.
		fields := strings.Fields(strings.Replace(strings.ToUpper(line), "AUTH=", "AUTH ", 1))
		if len(fields) == 0 {
			continue
		}
		switch args := fields[1:]; fields[0] {
		case "SIZE":
			e.size = true
			if len(args) > 0 {
				e.Size, _ = strconv.ParseInt(args[0], 10, 64)
				e.Size = max(e.Size, 0)
			}
		case "8BITMIME":
			e.EightBit = true
		case "SMTPUTF8":
			e.UTF8 = true
		case "DSN":
			e.DSN = true
		case "PIPELINING":
			e.Pipelining = true
		case "STARTTLS":
			e.startTLS = true
		case "AUTH": // twice means both
			e.auth = append(e.auth, args...)
		}
	}
	return e
}

// mechanism reports whether a mechanism of AUTH was announced.
func (e Extensions) mechanism(name string) bool { return slices.Contains(e.auth, name) }
