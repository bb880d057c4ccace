package message_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/message"
)

// threads puts messages "id refs... | subject" into threads, each a day after the
// one before.
func threads(algorithm message.ThreadAlgorithm, messages ...string) string {
	t := message.NewThreads(algorithm)
	numbers := make([]uint32, len(messages))
	for i, text := range messages {
		ids, subject, _ := strings.Cut(text, "|")
		raw := "Subject: " + subject + "\r\n"
		for k, id := range strings.Fields(ids) {
			if k == 0 {
				raw += "Message-ID: <" + id + "@x>\r\nReferences:"
			} else {
				raw += " <" + id + "@x>"
			}
		}
		h, _ := message.ReadHeader(strings.NewReader(raw + "\r\n\r\n"))
		numbers[i] = uint32(i + 1)
		t.Add(int64(i), h)
	}
	return string(t.Append(nil, numbers))
}

func TestThreads(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		messages                  []string
		references, refs, subject string
	}{
		{"none", nil, "", "", ""},
		{"alone", []string{"a|x"}, "(1)", "(1)", "(1)"},
		{"a chain", []string{"a|x", "b a|Re: x", "c a b|Re: x"}, "(1 2 3)", "(1 2 3)", "(1 (2)(3))"},
		{"two answers", []string{"a|x", "b a|Re: x", "c a|Re: x", "d a c|y"}, "(1 (2)(3 4))", "(1 (2)(3 4))", "(1 (2)(3))(4)"},
		{"a missing parent", []string{"b a|Re: x", "c a|Re: x"}, "((1)(2))", "((1)(2))", "(1 2)"},
		{"a missing parent of one", []string{"b a|Re: x", "c q b|Re: x"}, "(1 2)", "(1 2)", "(1 2)"},
		{"missing in between", []string{"a|x", "c a b|Re: x", "d a b|Re: x"}, "(1 (2)(3))", "(1 (2)(3))", "(1 (2)(3))"},
		{"the child comes first", []string{"b a|Re: x", "a|x"}, "(2 1)", "(2 1)", "(1 2)"},
		{"a loop", []string{"a b|x", "b a|x"}, "(2 1)", "(2 1)", "(1 2)"},
		{"itself", []string{"a a|x"}, "(1)", "(1)", "(1)"},
		{"the id is there twice", []string{"a|x", "a|y", "b a|z"}, "(1 3)(2)", "(2)(1 3)", "(1)(2)(3)"},
		{"no ids", []string{"|x", "|y"}, "(1)(2)", "(1)(2)", "(1)(2)"},
		{"the same subject", []string{"a|x", "b|Re: x", "c|fwd: X"}, "(1 (2)(3))", "(1)(2)(3)", "(1 (2)(3))"},
		{"two with the same subject", []string{"a|x", "b|x"}, "((1)(2))", "(1)(2)", "(1 2)"},
		{"the reply comes first", []string{"a|Re: x", "b|x"}, "(2 1)", "(1)(2)", "(1 2)"},
		{"no subject", []string{"a|", "b|"}, "(1)(2)", "(1)(2)", "(1 2)"},
		{"another parent than others say", []string{"c a b|x", "b d|y", "d|z"}, "(3 2 1)", "(3 2 1)", "(1)(2)(3)"},
	} {
		for algorithm, want := range map[message.ThreadAlgorithm]string{message.ThreadReferences: tt.references, message.ThreadRefs: tt.refs, message.ThreadOrderedSubject: tt.subject} {
			if got := threads(algorithm, tt.messages...); got != want {
				t.Errorf("%s: %d gives %s, want %s", tt.name, algorithm, got, want)
			}
		}
	}
}

// TestDeepThreads: threads as deep as a mailbox is large, in any order, take no
// time and no stack.
func TestDeepThreads(t *testing.T) {
	const n = 50_000
	rnd := rand.New(rand.NewPCG(1, 1))
	for name, order := range map[string]func(i int) int{
		"parents first": func(i int) int { return i }, "children first": func(i int) int { return n - i }, "mixed": func(i int) int { return rnd.IntN(n) },
	} {
		began := time.Now()
		messages := make([]string, n)
		for i := range messages {
			k := order(i)
			messages[i] = fmt.Sprintf("%d %d|", k+1, k)
		}
		for _, algorithm := range []message.ThreadAlgorithm{message.ThreadReferences, message.ThreadRefs} {
			if got := threads(algorithm, messages...); strings.Count(got, " ") < n/4 {
				t.Errorf("%s: %.100s", name, got)
			}
		}
		t.Logf("%s: %v", name, time.Since(began))
	}
}

func FuzzThreads(f *testing.F) {
	f.Add([]byte{1, 0, 2, 1, 3, 2})
	f.Add([]byte{1, 2, 2, 1, 0, 0, 1, 1, 0x91, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		var messages []string
		for len(data) > 1 && len(messages) < 100 {
			refs := ""
			for k := range int(data[0]>>4) % 4 {
				refs += fmt.Sprintf(" %d", (int(data[1])+k*int(data[0]))%16)
			}
			messages = append(messages, fmt.Sprintf("%d%s|%s", data[0]%16, refs, []string{"", "x", "Re: x", "y"}[data[1]>>6]))
			data = data[2:]
		}
		for _, algorithm := range []message.ThreadAlgorithm{message.ThreadReferences, message.ThreadRefs, message.ThreadOrderedSubject} {
			got := threads(algorithm, messages...)
			if strings.Count(got, "(") != strings.Count(got, ")") {
				t.Fatalf("%d: %s", algorithm, got)
			}
			seen := map[string]bool{}
			for _, n := range strings.FieldsFunc(got, func(r rune) bool { return r < '0' || r > '9' }) {
				if seen[n] {
					t.Fatalf("%d has %s twice: %s", algorithm, n, got)
				}
				seen[n] = true
			}
			if len(seen) != len(messages) {
				t.Fatalf("%d has %d of %d messages: %s", algorithm, len(seen), len(messages), got)
			}
		}
	})
}
