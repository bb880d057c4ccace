package atomicfile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

var errDenied, errShared, errOther = errors.New("denied"), errors.New("shared"), errors.New("other")

func TestAHeldFileIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		what   string
		err    error
		held   bool // by another program, as long as it is held at all
		until  time.Duration
		waits  time.Duration // at least
		atMost time.Duration
		want   error
		isHeld bool
	}{
		{what: "no error"},
		{what: "another error", err: errOther, until: time.Hour, want: errOther},
		{what: "a scanner", err: errShared, held: true, until: 3 * time.Second, waits: 3 * time.Second, atMost: 4 * time.Second},
		{what: "a scanner at the target of a rename", err: errDenied, held: true, until: 3 * time.Second, waits: 3 * time.Second, atMost: 4 * time.Second},
		{what: "a program that never closes it", err: errShared, until: time.Hour, waits: heldFor, atMost: heldFor + time.Second, want: errShared, isHeld: true},
		{what: "the same, at the target", err: errDenied, held: true, until: time.Hour, waits: heldFor, atMost: heldFor + time.Second, want: errDenied, isHeld: true},
		{what: "permissions", err: errDenied, until: time.Hour, waits: deniedFor, atMost: 2 * deniedFor, want: errDenied},
	} {
		var now time.Duration
		h := holding{
			refusal: func(err error) (bool, bool) { return err == errDenied || err == errShared, err == errShared },
			held:    func(path string) bool { return c.held && now < c.until && strings.HasSuffix(path, "to.eml") },
			sleep:   func(d time.Duration) { now += d },
		}
		err := h.again(deniedFor, func() error {
			if now < c.until {
				return c.err
			}
			return nil
		}, `D:\mail\from`, `D:\mail/to.eml`)
		if !errors.Is(err, c.want) || IsHeld(err) != c.isHeld || now < c.waits || now > c.atMost {
			t.Errorf("%s: %v (held %v) after %v; want %v (held %v) after %v", c.what, err, IsHeld(err), now, c.want, c.isHeld, c.waits)
		}
		if c.isHeld && (!fault.Is(err, fault.Temporary) || !strings.HasPrefix(err.Error(), "another program has the file open") || !strings.Contains(fault.Hint(err), "scanner")) {
			t.Errorf("%s: %v, hint %q", c.what, err, fault.Hint(err))
		}
	}
}
