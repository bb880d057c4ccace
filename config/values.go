package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/popbridge/popbridge/internal/fault"
)

// readID reads the name of an account or local user. It becomes the name of a
// folder and an argument of commands, on every system alike.
func readID(s string) (string, *mistake) {
	const hint = "use 1 to 64 letters (a to z), digits and . _ - @ +"
	bad := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@+", r))
	})
	base, _, _ := strings.Cut(strings.ToUpper(s), ".")
	switch {
	case s == "":
		return "", &mistake{"the name is empty", hint}
	case len(s) > 64:
		return "", &mistake{"the name is too long", hint}
	case bad >= 0:
		return "", &mistake{fmt.Sprintf("%s contains %s", quote(s), quote(string([]rune(s[bad:])[0]))), hint}
	case s[0] == '.' || s[0] == '-' || s[len(s)-1] == '.':
		return "", &mistake{quote(s) + " starts with a dot or hyphen, or ends with a dot", hint}
	case slices.Contains([]string{"CON", "PRN", "AUX", "NUL"}, base),
		len(base) == 4 && (base[:3] == "COM" || base[:3] == "LPT") && base[3] >= '0' && base[3] <= '9':
		return "", &mistake{quote(s) + " cannot be the name of a folder on Windows", "choose another name"}
	}
	return s, nil
}

// ValidUser reports whether a name can be that of a local user.
func ValidUser(name string) bool {
	_, bad := readID(name)
	return bad == nil
}

// Host returns the name or IP address of a server as an account has it, or why it is none.
func Host(s string) (string, error) {
	host, bad := readHost(s)
	if bad != nil {
		return "", fault.New(fault.Config, bad.text, "write a name such as pop.example.com, or an IP address")
	}
	return host, nil
}

// readHost reads a host name or an IP address.
func readHost(s string) (string, *mistake) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return addr.String(), nil
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case s == "":
		return "", &mistake{"the host is empty", `name the POP3 server: host = "pop.example.com"`}
	case strings.Contains(s, "://"):
		return "", &mistake{quote(s) + " is a URL", "write the name of the server only"}
	case err == nil && port != "" && !strings.Contains(host, ":"):
		return "", &mistake{quote(s) + " contains a port", fmt.Sprintf("write the two apart: host = %s, port = %s", quote(host), port)}
	case strings.Contains(s, "@"):
		return "", &mistake{quote(s) + " is a mail address, not a server", `name the POP3 server, such as host = "pop.example.com"`}
	}
	bad := &mistake{quote(s) + " is not the name of a server", `write a name such as "pop.example.com" or an IP address`}
	name, err := idna.ToASCII(strings.ToLower(strings.TrimSuffix(s, "."))) // RFC 5891: names with umlauts
	if err != nil || len(name) > 253 {
		return "", bad
	}
	for label := range strings.SplitSeq(name, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && strings.IndexFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) < 0
		if !ok {
			return "", bad
		}
	}
	return name, nil
}

func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// readListen reads an address to listen on. Loopback only: what other machines
// connect to has rules of its own, see LAN.
func readListen(s string) (string, *mistake) {
	const form = `write it like "127.0.0.1:1143" or "[::1]:1143"`
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return "", &mistake{quote(s) + " is not an address with a port", form}
	case portErr != nil:
		return "", &mistake{fmt.Sprintf("%s is not a port (1 to 65535)", quote(port)), form}
	case !isLoopback(host):
		return "", &mistake{quote(s) + " is not on the loopback interface", "use 127.0.0.1; for phones and other machines there is [lan]"}
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(n, 10)), nil
}

// containsAddress reports whether address is in the list; with port 0 it never
// is, each one gets a port of its own.
func containsAddress(addresses []string, address string) bool {
	return !strings.HasSuffix(address, ":0") && slices.Contains(addresses, address)
}

func readUsername(s string) (string, *mistake) {
	switch {
	case s == "":
		return "", &mistake{"the user name is empty", "often it is the mail address"}
	case strings.IndexFunc(s, unicode.IsControl) >= 0:
		return "", &mistake{"the user name contains a control character", ""}
	case len(s) > 255:
		return "", &mistake{"the user name is longer than 255 bytes", ""}
	}
	return s, nil
}

// ParseDuration reads "30s", "5m", "1h30m" or a number of days, "2d".
func ParseDuration(s string) (time.Duration, error) {
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * day, err
	}
	return time.ParseDuration(s)
}

func readDuration(s string, low, high time.Duration, usual string) (time.Duration, *mistake) {
	d, err := ParseDuration(s)
	switch {
	case err != nil:
		return 0, &mistake{quote(s) + " is not a duration", `write a number with a unit: "30s", "5m", "1h" or "1d"`}
	case d < low:
		return 0, &mistake{quote(s) + " is too short", fmt.Sprintf("the least is %s; %q is usual", brief(low), usual)}
	case d > high:
		return 0, &mistake{quote(s) + " is too long", "the most is " + brief(high)}
	}
	return d, nil
}

// brief writes a duration as the file would have it.
func brief(d time.Duration) string {
	if d%day == 0 && d > 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// readFolder reads the name of a mailbox. RFC 9051 section 5.1: INBOX is
// case-insensitive; % and * would be wildcards in LIST.
func readFolder(s string) (string, *mistake) {
	const hint = `write a name such as "INBOX" or "Work/Lists"`
	parts := strings.Split(s, "/")
	switch {
	case s == "":
		return "", &mistake{"the folder is empty", hint}
	case len(s) > 255:
		return "", &mistake{"the folder's name is longer than 255 bytes", hint}
	case slices.Contains(parts, ""):
		return "", &mistake{quote(s) + " has an empty part", hint}
	case strings.ContainsAny(s, "%*") || strings.IndexFunc(s, unicode.IsControl) >= 0:
		return "", &mistake{quote(s) + " contains %, * or a control character", hint}
	}
	if strings.EqualFold(parts[0], "Outbox") { // mailstore.ErrOutbox
		return "", &mistake{quote(s) + " is the folder of what waits to be sent", "choose another folder, such as \"INBOX\" or \"Work/Lists\""}
	}
	if strings.EqualFold(parts[0], "INBOX") {
		parts[0] = "INBOX"
	}
	return strings.Join(parts, "/"), nil
}

// The limits of max_message_size. RFC822.SIZE has 32 bits with most clients.
const (
	minMessageSize = 1000
	maxMessageSize = math.MaxUint32
)

// readSize reads a size in bytes: "200MB", "64KiB".
func readSize(s string, low, high int64, limits string) (int64, *mistake) {
	digits := strings.TrimRight(s, "BKMGTikmgtb ")
	units := map[string]int64{"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
	unit, ok := units[strings.ToUpper(strings.TrimSpace(s[len(digits):]))]
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case err != nil || !ok:
		return 0, &mistake{quote(s) + " is not a size", `write a number with a unit: "500KB", "200MB" or "1GB"`}
	case int64(n) > high/unit || int64(n)*unit < low:
		return 0, &mistake{quote(s) + " is out of range", limits}
	}
	return int64(n) * unit, nil
}
