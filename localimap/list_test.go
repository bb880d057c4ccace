package localimap

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestMatchMailbox(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		names   string // those that match
	}{
		{"*", "INBOX INBOX/Old Lists Lists/go Lists/go/nuts"},
		{"%", "INBOX Lists"},
		{"INBOX", "INBOX"},
		{"inbox", "INBOX"},
		{"iNb%", "INBOX"},
		{"inbox/%", "INBOX/Old"},
		{"inbox*", "INBOX INBOX/Old"},
		{"lists", ""},
		{"Lists/%", "Lists/go"},
		{"Lists*", "Lists Lists/go Lists/go/nuts"},
		{"Lists/*", "Lists/go Lists/go/nuts"},
		{"%/%", "INBOX/Old Lists/go"},
		{"%/go", "Lists/go"},
		{"*go*", "Lists/go Lists/go/nuts"},
		{"*%", "INBOX INBOX/Old Lists Lists/go Lists/go/nuts"},
		{"%%", "INBOX Lists"},
		{"L%*s", "Lists Lists/go/nuts"},
		{"", ""},
	} {
		var got []string
		for _, name := range []string{"INBOX", "INBOX/Old", "Lists", "Lists/go", "Lists/go/nuts"} {
			if matchMailbox(tt.pattern, name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != tt.names {
			t.Errorf("%q matches %v, want %s", tt.pattern, got, tt.names)
		}
	}
}

// FuzzMatchMailbox compares with a regular expression.
func FuzzMatchMailbox(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", "INBOX"}, {"%", "a/b"}, {"a%b*c", "a/b/c"}, {"inbox/%", "INBOX/x"}, {"ü%", "üa"}, {"*%*%*%a", "aaaaaaaaaaaaaaaaaaaa/b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > maxPatternOctets || len(name) > 300 {
			return
		}
		want := matchReference(pattern, name)
		if got := matchMailbox(pattern, name); got != want {
			t.Errorf("matchMailbox(%q, %q) = %v", pattern, name, got)
		}
	})
}

// matchReference works on hexadecimal text, so that it needs no care for
// invalid UTF-8.
func matchReference(pattern, name string) bool {
	inbox := name == "INBOX" || strings.HasPrefix(name, "INBOX/")
	var expr, text strings.Builder
	for i := range len(name) {
		fmt.Fprintf(&text, "%02x%d ", name[i], map[bool]int{true: 1}[inbox && i < 5])
	}
	for _, b := range []byte(pattern) {
		switch b {
		case '*':
			expr.WriteString("(?:... )*")
		case '%':
			expr.WriteString("(?:(?:[013-9a-f].|2[0-9a-e]).\\x20)*")
		default:
			fmt.Fprintf(&expr, "(?:%02x. |%x1 )", b, bytes.ToUpper([]byte{b}))
		}
	}
	return regexp.MustCompile("^(?:" + expr.String() + ")$").MatchString(text.String())
}

func TestListing(t *testing.T) {
	boxes := []mailstore.Mailbox{
		{Name: "INBOX"}, {Name: "Drafts", SpecialUse: `\Drafts`}, {Name: "Foo"}, {Name: "Foo/Bar"}, {Name: "Foo/Bar/Baz"}, {Name: "Moo"},
	}
	subscribed := []string{"INBOX", "Foo/Bar/Baz", "Gone/Away", "Drafts"}
	for _, tt := range []struct {
		name     string
		patterns []string
		options  imap.ListOptions
		want     string
	}{
		{
			name: "all", patterns: []string{"*"},
			want: `Drafts[\HasNoChildren \Drafts] Foo[\HasChildren] Foo/Bar[\HasChildren] Foo/Bar/Baz[\HasNoChildren] INBOX[\HasNoChildren] Moo[\HasNoChildren]`,
		},
		{
			name: "two patterns, each once", patterns: []string{"M%", "Mo*", "INBOX"},
			want: `INBOX[\HasNoChildren] Moo[\HasNoChildren]`,
		},
		{
			name: "subscribed", patterns: []string{"*"}, options: imap.ListOptions{SelectSubscribed: true},
			want: `Drafts[\HasNoChildren \Drafts \Subscribed] Foo/Bar/Baz[\HasNoChildren \Subscribed] Gone/Away[\NonExistent \Noselect \HasNoChildren \Subscribed] INBOX[\HasNoChildren \Subscribed]`,
		},
		{
			name: "subscribed, one level", patterns: []string{"%"}, options: imap.ListOptions{SelectSubscribed: true},
			want: `Drafts[\HasNoChildren \Drafts \Subscribed] INBOX[\HasNoChildren \Subscribed]`,
		},
		{
			name: "subscribed, recursive", patterns: []string{"%"}, options: imap.ListOptions{SelectSubscribed: true, SelectRecursiveMatch: true},
			want: `Drafts[\HasNoChildren \Drafts \Subscribed] Foo[\HasChildren]+ Gone[\NonExistent \Noselect \HasNoChildren]+ INBOX[\HasNoChildren \Subscribed]`,
		},
		{
			name: "recursive, everything matches", patterns: []string{"*"}, options: imap.ListOptions{SelectSubscribed: true, SelectRecursiveMatch: true},
			want: `Drafts[\HasNoChildren \Drafts \Subscribed] Foo/Bar/Baz[\HasNoChildren \Subscribed] Gone/Away[\NonExistent \Noselect \HasNoChildren \Subscribed] INBOX[\HasNoChildren \Subscribed]`,
		},
		{
			name: "return subscribed", patterns: []string{"F*"}, options: imap.ListOptions{ReturnSubscribed: true},
			want: `Foo[\HasChildren] Foo/Bar[\HasChildren] Foo/Bar/Baz[\HasNoChildren \Subscribed]`,
		},
		{
			name: "special use", patterns: []string{"*"}, options: imap.ListOptions{SelectSpecialUse: true},
			want: `Drafts[\HasNoChildren \Drafts]`,
		},
		{
			name: "special use and subscribed", patterns: []string{"*"}, options: imap.ListOptions{SelectSpecialUse: true, SelectSubscribed: true},
			want: `Drafts[\HasNoChildren \Drafts \Subscribed]`,
		},
		{
			name: "remote adds nothing", patterns: []string{"Moo"}, options: imap.ListOptions{SelectRemote: true},
			want: `Moo[\HasNoChildren]`,
		},
		{
			name: "nothing", patterns: []string{"nosuch"}, want: ``,
		},
	} {
		var got []string
		subs := subscribed
		if !tt.options.SelectSubscribed && !tt.options.ReturnSubscribed {
			subs = nil
		}
		for _, d := range listing(t.Context(), boxes, slices.Clone(subs), tt.patterns, &tt.options) {
			text := fmt.Sprintf("%s%v", d.name, d.attrs)
			if d.above {
				text += "+"
			}
			got = append(got, text)
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, text, tt.want)
		}
	}
}
