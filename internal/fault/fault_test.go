package fault_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestWrapKeepsTheCause(t *testing.T) {
	err := fault.Wrap(io.ErrUnexpectedEOF, fault.Protocol, "the server closed the connection", "try again")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got, want := err.Error(), "the server closed the connection: unexpected EOF"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if fault.Wrap(nil, fault.Protocol, "x", "") != nil {
		t.Error("a nil error became a fault")
	}
}

func TestKindAndHintThroughWrapping(t *testing.T) {
	inner := fault.New(fault.Auth, "password refused", "check the password")
	outer := fmt.Errorf("account home: %w", fault.Wrap(inner, fault.Temporary, "login", ""))
	if got := fault.KindOf(outer); got != fault.Temporary {
		t.Errorf("KindOf = %v, want the outermost kind", got)
	}
	if got := fault.Hint(outer); got != "check the password" {
		t.Errorf("Hint = %q, want the first hint down the chain", got)
	}
	if fault.KindOf(io.EOF) != fault.Internal || fault.Is(io.EOF, fault.Internal) || fault.Hint(io.EOF) != "" {
		t.Error("an error without a fault is Internal by default, carries none, and has no hint")
	}
}

func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for k := fault.Internal; k <= fault.Denied; k++ {
		if name := k.String(); seen[name] || strings.HasPrefix(name, "kind ") {
			t.Errorf("kind %d has no name of its own: %q", k, name)
		} else {
			seen[name] = true
		}
	}
	if got := fault.Kind(200).String(); got != "kind 200" {
		t.Errorf("unknown kind = %q", got)
	}
}

func TestQuoteMakesForeignTextSafe(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", `"plain"`},
		{"two\r\nlines\x1b[31m", `"two\r\nlines\x1b[31m"`},
		{"größer", `"größer"`},
		{"bad \xff utf-8", `"bad \xff utf-8"`},
		{"bidi \u202e trick", `"bidi \u202e trick"`},
	} {
		if got := fault.Quote(c.in); got != c.want {
			t.Errorf("Quote(%q) = %s, want %s", c.in, got, c.want)
		}
	}
	if got := fault.Quote(strings.Repeat("x", 5000)); len(got) > fault.MaxQuoted+10 {
		t.Errorf("Quote keeps %d bytes", len(got))
	}
}
