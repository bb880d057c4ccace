package mailflags_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		names  []string
		system mailflags.System
		words  []string
	}{
		{nil, 0, nil},
		{[]string{`\seen`, `\FLAGGED`, `\Recent`, `\recent`}, mailflags.Seen | mailflags.Flagged, nil},
		{[]string{"$Forwarded", `\Deleted`, "work"}, mailflags.Deleted, []string{"$Forwarded", "work"}},
	} {
		system, words, err := mailflags.Parse(tt.names)
		if system != tt.system || !slices.Equal(words, tt.words) || err != nil {
			t.Errorf("%q: %b, %q, %v", tt.names, system, words, err)
		}
	}
	for _, name := range []string{"", `\Important`, "two words", "a(b", "a*b", "a%b", `a"b`, "a]b", "ü", "\x7f"} {
		if _, _, err := mailflags.Parse([]string{name}); !fault.Is(err, fault.Config) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestTable: a keyword keeps its first spelling, a set its number, and what is taken
// back is unknown again.
func TestTable(t *testing.T) {
	k := mailflags.NewTable()
	names, _, known, err := k.Find([]string{"Work", "later", "WORK"})
	if want := []string{"later", "Work"}; !slices.Equal(names, want) || known || err != nil {
		t.Fatalf("%q, %v, %v, want %q", names, known, err, want)
	}
	set := k.Add(names)
	if set != 1 {
		t.Errorf("the first set is %d", set)
	}
	if names, again, known, _ := k.Find([]string{"wORK", "LATER"}); again != set || !known || names[1] != "Work" {
		t.Errorf("%q, %d, %v", names, again, known)
	}
	if _, empty, known, _ := k.Find(nil); empty != 0 || !known {
		t.Errorf("the empty set is %d, %v", empty, known)
	}
	for _, tt := range []struct {
		op   mailflags.Op
		want []string
	}{{mailflags.Set, []string{"work"}}, {mailflags.Add, []string{"later", "Work", "work"}}, {mailflags.Remove, []string{"later"}}} {
		if got := k.Merged(set, tt.op, []string{"work"}); !slices.Equal(got, tt.want) {
			t.Errorf("%d: %q, want %q", tt.op, got, tt.want)
		}
	}
	if got, want := k.Render(mailflags.Flags{System: mailflags.Seen | mailflags.Draft, Keywords: set}), []string{`\Seen`, `\Draft`, "later", "Work"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	k.Truncate(1)
	if _, _, known, _ := k.Find([]string{"later", "Work"}); known || k.Len() != 1 {
		t.Error("a set that was taken back is known")
	}
}

func TestLimits(t *testing.T) {
	k := mailflags.NewTable()
	words := func(from, n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprint("k", from+i))
		}
		return out
	}
	find := func(w []string) error {
		names, _, known, err := k.Find(w)
		if !known && err == nil {
			k.Add(names)
		}
		return err
	}
	if err := find(words(0, mailflags.MaxWords+1)); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("too many for a message: %v", err)
	}
	for i := 0; i < mailflags.MaxKeywords; i += mailflags.MaxWords {
		if err := find(words(i, mailflags.MaxWords)); err != nil {
			t.Fatal(err)
		}
	}
	if err := find([]string{"another"}); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("too many keywords: %v", err)
	}
	if err := find([]string{"k1", "k2"}); err != nil {
		t.Errorf("known keywords in a new set: %v", err)
	}
}

func FuzzFlags(f *testing.F) {
	f.Add(`\Seen work`, `\Flagged WORK $x`)
	f.Add("", "\\")
	f.Add("K \u212a", "k")
	f.Fuzz(func(t *testing.T, first, second string) {
		k := mailflags.NewTable()
		_, a, err := mailflags.Parse(strings.Fields(first))
		if err != nil {
			return
		}
		_, b, err := mailflags.Parse(strings.Fields(second))
		if err != nil {
			return
		}
		a, _, _, _ = k.Find(a)
		k.Add(a)
		b, _, _, _ = k.Find(b)
		for i, w := range b {
			if _, parsed, err := mailflags.Parse([]string{w}); err != nil || len(parsed) != 1 || i > 0 && strings.ToLower(b[i-1]) >= strings.ToLower(w) {
				t.Errorf("set %q", b)
			}
			for _, v := range a {
				if strings.EqualFold(v, w) && v != w {
					t.Errorf("%q is spelt %q", v, w)
				}
			}
		}
	})
}
