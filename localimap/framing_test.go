package localimap

import (
	"fmt"
	"strings"
	"testing"
)

// drive feeds input in steps to f and returns what the library gets to read,
// which says something when it has read what there is of a command with a
// literal. It reports false when the connection ends.
func drive(f *framing, input string, step int, says func(f *framing) word) (string, bool) {
	var got strings.Builder
	p := make([]byte, 1+step%7)
	for {
		said := silence
		if len(f.out) == 0 && f.literal == 0 && (f.waiting || f.inside) {
			said = says(f)
		}
		if !f.settle(said) {
			return got.String(), false
		}
		n := f.read(p)
		got.Write(p[:n])
		for n == 0 {
			if f.tooLong || input == "" {
				return got.String(), !f.tooLong
			}
			in := input[:f.room(min(step, len(input)))]
			input = input[len(in):]
			if f.direct(len(in)) {
				got.WriteString(in)
				break
			}
			f.add([]byte(in))
			n = f.read(p)
			got.Write(p[:n])
		}
	}
}

func accept(f *framing) word {
	if f.waiting {
		return goAhead
	}
	return silence
}

func refuse(*framing) word { return refusal }

// after refuses a literal when it has read it.
func after(f *framing) word {
	if f.waiting {
		return goAhead
	}
	return refusal
}

// nudge is a library that reads on where it has refused.
func nudge(f *framing) word {
	if f.nudged {
		return refusal
	}
	return silence
}

func TestFraming(t *testing.T) {
	long := strings.Repeat("1,", maxCommand/2)
	for _, tt := range []struct {
		name, input, want string
		says              func(*framing) word
		ends              bool
	}{
		{"lines", "a NOOP\r\nb NOOP\nc {x}\r\n{}\r\n", "a NOOP\r\nb NOOP\nc {x}\r\n{}\r\n", accept, false},
		{"CR alone", "a X\rb X\r\r\nc\r X {3}\r\n\rd\r e\r\r\n\r\n", "a X\x00b X\x00\r\nc\x00 X {3}\r\n\rd\r e\x00\r\n\r\n", accept, false},
		{"half a line", "a NOOP\r\nb NO", "a NOOP\r\n", accept, false},
		{"literals", "a LOGIN {3+}\r\njoe {2}\r\npw\r\nb NOOP\r\n", "a LOGIN {3}\r\njoe {2}\r\npw\r\nb NOOP\r\n", accept, false},
		{"empty", "a LOGIN {0+}\r\n {0}\r\n\r\nb NOOP\r\n", "a LOGIN {0}\r\n {0}\r\n\r\nb NOOP\r\n", accept, false},
		{"literal8", "a APPEND a+}b UTF8 (~{4+}\r\n{9+})\r\nb NOOP\r\n", "a APPEND a+}b UTF8 (~{4}\r\n{9+})\r\nb NOOP\r\n", accept, false},
		{"line ends of the library", "a X {6+}\nb X\r\n\r\na Y {6+} \nb Y\r\n\r\n", "a X {6}\nb X\r\n\r\na Y {6} \nb Y\r\n\r\n", accept, false},
		{"refused", "a APPEND & {10+}\r\nx DELETE a\r\nb NOOP\r\n", "a APPEND & {10}\r\nb NOOP\r\n", refuse, false},
		{"refused, more", "a LOGIN {3+}\r\njoe {2+}\r\npw {1}\r\nb NOOP\r\n", "a LOGIN {3}\r\nb NOOP\r\n", refuse, false},
		{"refused, waits", "a APPEND & {10}\r\nb NOOP\r\n", "a APPEND & {10}\r\nb NOOP\r\n", refuse, false},
		{"refused after", "a APPEND {2+}\r\n& {10+}\r\nx DELETE a\r\nb NOOP\r\n", "a APPEND {2}\r\n& b NOOP\r\n", after, false},
		{"refused in silence", "a LOGIN {10+}\r\nx DELETE a\r\nb NOOP\r\n", "a LOGIN {10}\r\n\r\nb NOOP\r\n", nudge, false},
		{"refused in silence, waits", "a LOGIN {5000}\r\nb NOOP\r\n", "a LOGIN {5000}\r\n\r\nb NOOP\r\n", nudge, false},
		{"a library that reads on and on", "a {5+}\r\nabcde\r\n", "a {5}\r\n\r\n", func(*framing) word { return silence }, true},
		{"refused, huge", "a APPEND & {1048577+}\r\nb NOOP\r\n", "a APPEND & {1048577}\r\n", refuse, true},
		{"refused, more, huge", "a APPEND & {1+}\r\nx {99999999999999999999+}\r\nb NOOP\r\n", "a APPEND & {1}\r\n", refuse, true},
		{"done", "done\r\nDone\nDONE \r\nx done\r\na T {1+}\r\nx\r\ndone\r\n", "DONE\r\nDONE\r\nDONE\r\nx done\r\na T {1}\r\nx\r\nDONE\r\n", accept, false},
		{"done in a command", "a T {1+}\r\nxdone\r\n", "a T {1}\r\nxdone\r\n", accept, false},
		{"long", long + "\r\nb NOOP\r\n", "", accept, true},
		{"long in all", "a {1+}\r\nx" + long + "{1+}\r\n", "a {1}\r\nx", accept, true},
		{"long, no end", strings.Repeat("x", 10*maxCommand), "", accept, true},
		{"the longest", long[12:] + "\r\nb NOOP\r\n", long[12:] + "\r\nb NOOP\r\n", accept, false},
	} {
		for _, step := range []int{1, 2, 6, 4096, 1 << 20} {
			got, ok := drive(&framing{}, tt.input, step, tt.says)
			if got != tt.want || ok == tt.ends {
				t.Errorf("%s by %d: %.200q, goes on: %v; want %.200q, %v", tt.name, step, got, ok, tt.want, !tt.ends)
			}
		}
	}
}

// FuzzFraming: a library that accepts every literal reads what was sent,
// however it comes in, but for the + and the capitals; one that refuses sees
// nothing of a literal.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		"", "a NOOP\r\n", "a\rb\r\r\n", "x {5+}\r\nabc\r\n\r\n", "x {5}\r\nabc\r\n\r\ny {0+}\r\n\r\n", "done\r\n", "{1+}\n{1+}\n{1+}\n", "a ~{3+} \r\n{4+}\r\n",
	} {
		f.Add(seed, uint8(3))
	}
	plain := strings.NewReplacer("+", "", " ", "", "\r", "", "\x00", "", "done", "DONE", "d", "D", "o", "O", "n", "N", "e", "E").Replace
	f.Fuzz(func(t *testing.T, input string, by uint8) {
		step := int(by) + 1
		whole, ok := drive(&framing{}, input, len(input)+1, accept)
		got, okToo := drive(&framing{}, input, step, accept)
		if got != whole || ok != okToo {
			t.Fatalf("by %d: %q, %v; at once: %q, %v", step, got, okToo, whole, ok)
		}
		rest, found := strings.CutPrefix(plain(input), plain(got))
		if !found || ok && strings.Contains(rest, "\n") {
			t.Fatalf("%q is read as %q", input, got)
		}
		hidden := fmt.Sprintf("a APPEND & {%d+}\r\n%s\r\nb NOOP\r\n", len(input), input)
		want := fmt.Sprintf("a APPEND & {%d}\r\nb NOOP\r\n", len(input))
		if got, ok := drive(&framing{}, hidden, step, refuse); len(input) <= maxSkip && (got != want || !ok) {
			t.Fatalf("a refused literal is read: %q", got)
		}
	})
}
