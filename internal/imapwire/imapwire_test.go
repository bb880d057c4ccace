package imapwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var small = Limits{Line: 200, String: 100, Held: 150, Skip: 1000}

// reading returns a reader of input, and what it has asked the client for.
func reading(input string) (*Reader, *int) {
	asked := new(int)
	return NewReader(iotest.OneByteReader(strings.NewReader(input)), small, func() error { *asked++; return nil }), asked
}

func TestStrings(t *testing.T) {
	for _, c := range []struct {
		in, want, fails string
		asked           int
	}{
		{in: "atom]", want: "atom]"},
		{in: `"a \"quoted\" \\ one"`, want: `a "quoted" \ one`},
		{in: `""`},
		{in: "{5}\r\na\r\nb ", want: "a\r\nb ", asked: 1},
		{in: "{5+}\r\na\r\nb ", want: "a\r\nb "},
		{in: "{0}\r\n", asked: 1},
		{in: "~{2+}\r\n\x00a", want: "\x00a"},
		{in: "{2+}\r\n\x00a", fails: "NUL"},
		{in: `"no end`, fails: "no end"},
		{in: `"a\b"`, fails: "quoted string"},
		{in: "\"a\rb\"", fails: "control character"},
		{in: "", fails: "Expected a string"},
		{in: "(", fails: "Expected a word"},
		{in: "{101}", fails: "limited to 100"},
	} {
		r, asked := reading(c.in + "\r\nnext\r\n")
		if err := r.Next(); err != nil {
			t.Fatal(err)
		}
		got := r.AString()
		err := r.End()
		if got != c.want && c.fails == "" || *asked != c.asked || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q: %q, %v, asked %d times", c.in, got, err, *asked)
		}
		if err := r.Finish(); err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		if err := r.Next(); err != nil || r.Atom() != "next" {
			t.Errorf("%q: the next command is %q, %v", c.in, r.line, err)
		}
	}
}

// The octets of a literal are passed over where the command is refused before
// them, in whatever part of it.
func TestALiteralIsNeverACommand(t *testing.T) {
	for _, c := range []string{
		"a BAD {4+}\r\nx y\n\r\n",
		"a BAD {4+}\r\nx y\n {4+}\r\nz z\n more\r\n",
		"a BAD (\"x {4+}\r\nx y\n\r\n",
		"a BAD {4}\r\n",
		"a BAD {999999}\r\n",
		"a BAD {4+}\r\nx y\n {4}\r\n",
	} {
		r, asked := reading(c + "b NEXT\r\n")
		if err := r.Next(); err != nil {
			t.Fatal(err)
		}
		r.Fail(errors.New("refused"))
		if err := r.Finish(); err != nil || *asked != 0 {
			t.Errorf("%q: %v, asked %d times", c, err, *asked)
		}
		if err := r.Next(); err != nil || r.Tag() != "b" {
			t.Errorf("%q: the next command is %q, %v", c, r.line, err)
		}
	}
}

func TestWhatIsTooLongEndsTheConnection(t *testing.T) {
	for _, c := range []string{
		strings.Repeat("x", 201) + "\r\n",
		strings.Repeat("x", 500),
		"a {1001+}\r\n",
		"a {99999999999999999999+}\r\nx DELETE y\r\n",
		strings.Repeat("abcdefgh {1+}\r\nx", 30) + "\r\n",
	} {
		r, _ := reading(c)
		err := r.Next()
		if err == nil {
			err = r.Finish()
		}
		if !errors.Is(err, ErrLost) {
			t.Errorf("%.30q: %v", c, err)
		}
	}
}

func TestLiteralIsStreamed(t *testing.T) {
	r, asked := reading("{10}\r\n0123456789 rest\r\n")
	if err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if size, binary, ok := r.Announced(); size != 10 || binary || !ok {
		t.Error(size, binary, ok)
	}
	var got []byte
	r.Literal(func(body io.Reader) error {
		got = make([]byte, 4)
		_, err := io.ReadFull(body, got)
		return err
	})
	r.SP()
	if rest := r.Atom(); string(got) != "0123" || rest != "rest" || r.End() != nil || *asked != 1 {
		t.Errorf("%q, %q, %v", got, rest, r.End())
	}
	r, _ = reading("{10+}\r\n0123")
	if err := r.Next(); err != nil {
		t.Fatal(err)
	}
	r.Literal(func(body io.Reader) error { _, err := io.Copy(io.Discard, body); return err })
	if err := r.End(); err == nil {
		t.Error("half a literal is taken for a whole one")
	}
}

func TestSets(t *testing.T) {
	list := []uint32{2, 3, 5, 9}
	for in, want := range map[string]string{
		"3": "[{1 2}]", "*": "[{3 4}]", "1:3,5": "[{0 3}]", "5:1": "[{0 3}]", "10:*": "[{3 4}]", "4": "[]", "6:8,4": "[]",
		"9,2": "[{0 1} {3 4}]", "*:1": "[{0 4}]", "0": "error", "1,": "error", ":1": "error", "4294967296": "error", "1:2:3": "error",
		"01": "error", "1:02": "error", "2,00": "error",
	} {
		r, _ := reading(in + "\r\n")
		if err := r.Next(); err != nil {
			t.Fatal(err)
		}
		s := r.Set()
		got := fmt.Sprint(Resolve(s, list))
		if r.End() != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := AppendSet(nil, []uint32{1, 2, 3, 7, 9, 10}); string(got) != "1:3,7,9:10" {
		t.Errorf("%s", got)
	}
}

func TestLists(t *testing.T) {
	read := map[string]func(r *Reader){
		"List":   func(r *Reader) { r.List(func() { r.Number() }) },
		"Items":  func(r *Reader) { r.Items(func() { r.NZNumber() }) },
		"Params": func(r *Reader) { r.Params(func(string) { r.SP(); r.ObjectID() }) },
	}
	for in, ok := range map[string]bool{
		"List ()": true, "List (0 01)": true, "List (0 )": false, "List": false,
		"Items ()": false, "Items (1 2)": true, "Items (0)": false, "Items (01)": false,
		"Params ()": false, "Params (A 1 B 1)": true, "Params (A 1 a 2)": false,
		"Params (A a_-9Z)": true, "Params (A a.b)": false, "Params (A " + strings.Repeat("a", 100) + ")": true,
	} {
		name, list, _ := strings.Cut(in, " ")
		r, _ := reading(list + "\r\n")
		if err := r.Next(); err != nil {
			t.Fatal(err)
		}
		read[name](r)
		if err := r.End(); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestMailboxNames(t *testing.T) {
	for _, c := range []struct{ wire, name string }{
		{`"Archive"`, "Archive"}, {`"R&-D"`, "R&D"}, {`"Entw&APw-rfe"`, "Entwürfe"}, {`"&U,BTFw-"`, "台北"}, {`"&2D3cqQ-"`, "💩"},
	} {
		if got := AppendMailbox(nil, c.name, false); string(got) != c.wire {
			t.Errorf("%s: %s", c.name, got)
		}
		if got, ok := DecodeMailbox(strings.Trim(c.wire, `"`), false); got != c.name || !ok {
			t.Errorf("%s: %q, %v", c.wire, got, ok)
		}
		if got, ok := DecodeMailbox(c.name, true); got != c.name || !ok {
			t.Errorf("%s: %q, %v", c.name, got, ok)
		}
		if got := AppendMailbox(nil, c.name, true); string(got) != `"`+c.name+`"` {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	for _, bad := range []string{"&", "&AAA", "&AGE-", "&2D0-", "a&!-", "&APw-&APw-", "\xff"} {
		if got, ok := DecodeMailbox(bad, false); ok {
			t.Errorf("%q is %q", bad, got)
		}
	}
}

func TestDates(t *testing.T) {
	r, _ := reading("1-Feb-1994 \"17-Jul-1996\" \" 1-Feb-1994 03:04:05 -0700\" 31-Feb-1994\r\n")
	if err := r.Next(); err != nil {
		t.Fatal(err)
	}
	first := r.Date()
	r.SP()
	second := r.Date()
	r.SP()
	third := r.DateTime()
	if r.Err() != nil || first.Day() != 1 || second.Year() != 1996 || third.UTC().Format(time.DateTime) != "1994-02-01 10:04:05" {
		t.Error(first, second, third, r.Err())
	}
	if got := AppendDateTime(nil, third); string(got) != `" 1-Feb-1994 03:04:05 -0700"` {
		t.Errorf("%s", got)
	}
	r.SP()
	if r.Date(); r.Err() == nil {
		t.Error("31 February is a date")
	}
}

// FuzzReader: what a client sends is divided into the same lines and literals
// however it is split, and no octet of a literal stands where a command is expected.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"a NOOP\r\n", "a LOGIN {3}\r\njoe {2+}\r\npw\r\nb NOOP\r\n", "a X {5+}\r\nb DEL\r\nc NOOP\r\n", "{1}", "~{1+}\r\na\n", "a \"{3+}\r\nabc\"\r\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, mode uint8) {
		whole := script(bytes.NewReader(input), mode)
		if split := script(iotest.OneByteReader(bytes.NewReader(input)), mode); !slices.Equal(whole, split) {
			t.Errorf("%q\nwhole %q\nsplit %q", input, whole, split)
		}
		if half := script(iotest.HalfReader(bytes.NewReader(input)), mode); !slices.Equal(whole, half) {
			t.Errorf("%q\nwhole %q\nhalf  %q", input, whole, half)
		}
	})
}

// script reads commands as words; mode says which of them are refused at once.
func script(src io.Reader, mode uint8) (seen []string) {
	r := NewReader(src, small, func() error { seen = append(seen, "+"); return nil })
	for n := uint(0); r.Next() == nil; n++ {
		if mode>>(n%8)&1 == 1 {
			r.Fail(errors.New("refused"))
		}
		for !r.AtEnd() {
			switch {
			case r.Take(' '), r.Take('('), r.Take(')'):
			default:
				seen = append(seen, r.AString())
			}
		}
		seen = append(seen, fmt.Sprint(r.End()))
		if r.Finish() != nil {
			break
		}
	}
	return append(seen, fmt.Sprint(r.dead))
}

// FuzzMailbox: a name that is read is written as it was, and is read as it was.
func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"INBOX", "R&-D", "Entw&APw-rfe", "&2D3cqQ-", "&AAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		decoded, ok := DecodeMailbox(name, false)
		if !ok {
			return
		}
		if again, ok := DecodeMailbox(encodeUTF7(decoded), false); !ok || again != decoded {
			t.Errorf("%q is %q, and then %q", name, decoded, again)
		}
	})
}

func FuzzString(f *testing.F) {
	f.Add("a \"b\"\\", true)
	f.Fuzz(func(t *testing.T, s string, utf8 bool) {
		wire := appendText(nil, s, utf8)
		if head, rest, ok := bytes.Cut(wire, []byte("}")); ok && wire[0] == '{' { // any octets, and no waiting
			wire = slices.Concat([]byte("~"), head, []byte("+}"), rest)
		}
		big := Limits{Line: 1 << 20, String: 1 << 20, Held: 1 << 20, Skip: 1 << 20}
		r := NewReader(bytes.NewReader(append(wire, "\r\n"...)), big, nil)
		if err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if got := r.String(); got != s || r.End() != nil {
			t.Errorf("%q was written %q and read %q, %v", s, wire, got, r.End())
		}
	})
}

func TestAppendAString(t *testing.T) {
	for text, want := range map[string]string{"Subject": "Subject", "x_y-1": "x_y-1", "": `""`, "a b": `"a b"`, "a]": `"a]"`, `a"`: `"a\""`, "a(": `"a("`, "ä": "{2}\r\nä"} {
		if got := string(AppendAString(nil, text)); got != want {
			t.Errorf("%q: %q instead of %q", text, got, want)
		}
	}
}
