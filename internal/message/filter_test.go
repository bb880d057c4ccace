package message

import (
	"strings"
	"testing"
	"testing/iotest"
)

func TestFilterHeader(t *testing.T) {
	const header = "From: a\r\nSubject: one\r\n two\r\nX-A : b\r\nno field\r\nsubject: three\r\n\r\nbody: x\r\n"
	long := "To: " + strings.Repeat("x", 20000) + "\r\n"
	for _, c := range []struct {
		name, header string
		fields       []string
		not          bool
		want         string
	}{
		{"one", header, []string{"SUBJECT"}, false, "Subject: one\r\n two\r\nsubject: three\r\n\r\n"},
		{"several", header, []string{"x-a", "from", "zzz"}, false, "From: a\r\nX-A : b\r\n\r\n"},
		{"none", header, []string{"to"}, false, "\r\n"},
		{"not", header, []string{"subject", "from"}, true, "X-A : b\r\nno field\r\n\r\n"},
		{"no colon", "To\r\nTo\r\n : a\r\nTo: b\r\n\r\n", []string{"to"}, false, "To: b\r\n\r\n"},
		{"not, no colon", "To\r\nTo\r\n : a\r\nTo: b\r\n\r\n", []string{"to"}, true, "To\r\nTo\r\n : a\r\n\r\n"},
		{"LF", "From: a\nTo: b\n\nx", []string{"to"}, false, "To: b\n\n"},
		{"no blank line", "From: a\r\nTo: b\r\n", []string{"to"}, false, "To: b\r\n"},
		{"no line end", "From: a\r\nTo: b", []string{"to"}, false, "To: b"},
		{"empty", "", []string{"to"}, false, ""},
		{"goes on with nothing", " x\r\nFrom: a\r\n\r\n", []string{"from"}, true, " x\r\n\r\n"},
		{"only a blank line", "\n", []string{"to"}, true, "\n"},
		{"long line", long + "From: a\r\n\r\n", []string{"to"}, false, long + "\r\n"},
		{"long line left out", long + "From: a\r\n\r\n", []string{"to"}, true, "From: a\r\n\r\n"},
	} {
		var b strings.Builder
		if err := FilterHeader(&b, strings.NewReader(c.header), c.fields, c.not); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if b.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, b.String(), c.want)
		}
	}
	err := FilterHeader(&strings.Builder{}, iotest.ErrReader(iotest.ErrTimeout), nil, true)
	if err != iotest.ErrTimeout {
		t.Errorf("error of the reader: %v", err)
	}
}

func TestFind(t *testing.T) {
	text := "--b\r\n\r\nx\r\n"
	multi := parseBytes([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat(text, 5) +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n" + text + "--b--\r\n"))
	for _, c := range []struct {
		path []int
		want *Part
	}{
		{nil, multi.Root},
		{[]int{1}, multi.Root.Children[0]},
		{[]int{6}, multi.Root.Children[5]},
		{[]int{6, 1}, multi.Root.Children[5].Children[0]},
		{[]int{6, 2}, nil},
		{[]int{6, 1, 1}, nil},
		{[]int{1, 1}, nil},
		{[]int{0}, nil},
		{[]int{8}, nil},
		{[]int{-1}, nil},
		{[]int{8, 1, 1}, nil},
	} {
		if got := multi.Find(c.path); got != c.want {
			t.Errorf("%v: %+v", c.path, got)
		}
	}
	plain := parseBytes([]byte("Subject: x\r\n\r\ntext"))
	if plain.Find([]int{1}) != plain.Root || plain.Find([]int{2}) != nil || plain.Find([]int{1, 1}) != nil {
		t.Error("part 1 of a plain message is its body, and there is no other")
	}
	// A message that is a message/rfc822: 1 is it, 1.1 the first part in it.
	forward := parseBytes([]byte("Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\n\r\nb\r\n--b--\r\n"))
	inner := forward.Root.Children[0]
	if forward.Find([]int{1}) != forward.Root || forward.Find([]int{1, 2}) != inner.Children[1] {
		t.Error("numbers do not go through message/rfc822")
	}
}
