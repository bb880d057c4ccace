package cli

import (
	"context"
	"io"
	"testing"
)

// A question that is given up takes no answer away from the next one.
func TestALineThatIsNotWaitedForAnyMore(t *testing.T) {
	in, out := io.Pipe()
	a := newApp(in, io.Discard, io.Discard)
	over, end := context.WithCancel(t.Context())
	end()
	if line, err := a.readLine(over); line != "" || err == nil {
		t.Fatalf("%q, %v", line, err)
	}
	go func() {
		_, _ = io.WriteString(out, "first\nsecond\r\n")
		_ = out.Close()
	}()
	for _, want := range []string{"first", "second"} {
		if line, err := a.readLine(t.Context()); line != want || err != nil {
			t.Errorf("%q, %v, want %q", line, err, want)
		}
	}
	if line, err := a.readLine(t.Context()); err != errNoAnswer {
		t.Errorf("%q, %v", line, err)
	}
}
