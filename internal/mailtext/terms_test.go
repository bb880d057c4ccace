package mailtext

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/testkit"
)

// spell undoes the spelling of digits.
func spell(term []byte) string {
	var b strings.Builder
	for _, c := range term {
		if c >= 0xF5 {
			c -= 0xF5 - '0'
		}
		b.WriteByte(c)
	}
	return b.String()
}

func TestTerms(t *testing.T) {
	raw := "Subject: Grüße AN 42\r\n\r\nthe x-ray, a_b; don't STRASSE\r\nthe\u0301\u00a0end 東京 1.5e3 "
	var head, body []string
	err := Terms(parseBytes([]byte(raw)), strings.NewReader(raw), func(term []byte, inBody bool) bool {
		if inBody {
			body = append(body, spell(term))
		} else {
			head = append(head, spell(term))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(head), "[subject gru\u0308sse an 42]"; got != want {
		t.Errorf("header: %s, want %s", got, want)
	}
	if got, want := strings.ReplaceAll(fmt.Sprint(body), "東 京", "東京"), "[the x ray a b don t strasse thé end 東京 1 5e3]"; strings.ReplaceAll(got, "the\u0301", "thé") != want {
		t.Errorf("body: %s, want %s", got, want)
	}
}

func TestPieces(t *testing.T) {
	for needle, want := range map[string]string{
		"":                                     "",
		" -/ ":                                 "",
		"Word":                                 "word",
		" word":                                "^word",
		"word.":                                "word$",
		"-word-":                               "^word$",
		"two words":                            "two$ ^words",
		"a@b.example":                          "a$ ^b$ ^example",
		"2026-11-03":                           "2026$ ^11$ ^03",
		strings.Repeat("x", 100):               strings.Repeat("x", 32),
		"(" + strings.Repeat("x", 100) + ") y": "^" + strings.Repeat("x", 32) + " ^y",
	} {
		var got []string
		pieces, exact := Pieces(needle)
		for _, p := range pieces {
			s := spell(p.Text)
			if p.Start {
				s = "^" + s
			}
			if p.End {
				s += "$"
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", needle, got, want)
		}
		if exact != (needle == "Word") {
			t.Errorf("%q: exact is %v", needle, exact)
		}
	}
}

func parseBytes(b []byte) *message.Summary { return message.Parse(bytes.NewReader(b), int64(len(b))) }

// termSet is the terms of a message; true where one is in the body.
func termSet(t testing.TB, raw []byte) map[string]bool {
	set := map[string]bool{}
	err := Terms(parseBytes(raw), bytes.NewReader(raw), func(term []byte, body bool) bool {
		if len(term) == 0 || len(term) > maxTerm || slices.Min(term) < TermByte {
			t.Fatalf("term %q", term)
		}
		set[string(term)] = set[string(term)] || body
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// holds is what an index does: has the message all pieces?
func holds(set map[string]bool, needle string, body bool) bool {
	pieces, _ := Pieces(needle)
	for _, p := range pieces {
		found, text := false, string(p.Text)
		for term, in := range set {
			if (in || !body) && strings.Contains(term, text) && (!p.Start || strings.HasPrefix(term, text)) && (!p.End || strings.HasSuffix(term, text)) {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// checkNarrowing checks that terms and pieces never rule out a message that
// matches, and that an exact piece is in no message that does not.
func checkNarrowing(t *testing.T, s *message.Summary, raw []byte, set map[string]bool, needle string) (matched bool) {
	t.Helper()
	m := NewMatcher(needle)
	body, err := m.MatchBody(s, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.MatchText(s, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if body && !holds(set, needle, true) || text && !holds(set, needle, false) || body && !text {
		t.Errorf("%q is there (body %v, text %v) and ruled out", needle, body, text)
	}
	if _, exact := Pieces(needle); exact && (holds(set, needle, true) != body || holds(set, needle, false) != text) {
		t.Errorf("%q is there (body %v, text %v), the terms say otherwise", needle, body, text)
	}
	return text
}

// texts of a message, as the matcher gets them.
type collect struct{ bytes.Buffer }

func (c *collect) begin(bool, bool) { c.WriteByte('\n') }
func (c *collect) end() error       { return nil }

func textOf(t testing.TB, raw []byte) []byte {
	var c collect
	if err := readTexts(parseBytes(raw), bytes.NewReader(raw), &c, true); err != nil {
		t.Fatal(err)
	}
	return c.Bytes()
}

// TestNarrowingLosesNothing: pieces of what stands in messages are found in
// them, by the matcher and by the terms.
func TestNarrowingLosesNothing(t *testing.T) {
	t.Parallel()
	parts, err := os.ReadFile("testdata/parts.eml")
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string][]byte{"parts": parts}
	for n := range 30 {
		messages[fmt.Sprint(n)] = testkit.Message(n)
	}
	t.Run("synthetic", func(t *testing.T) { t.Parallel(); narrowAll(t, messages) })
	t.Run("corpus", func(t *testing.T) { t.Parallel(); narrowAll(t, testkit.Corpus(t)) })
}

func narrowAll(t *testing.T, messages map[string][]byte) {
	tried, matched := 0, 0
	for name, raw := range messages {
		if len(raw) > 1<<16 {
			continue
		}
		s, set, text := parseBytes(raw), termSet(t, raw), textOf(t, raw)
		for k, step := 0, max(1, len(text)/10); k < len(text); k += step {
			for _, n := range []int{2, 7, 30, 150} {
				needle := string(text[k:min(len(text), k+n)])
				tried++
				if tried%2 == 0 {
					needle = strings.ToUpper(needle)
				}
				if checkNarrowing(t, s, raw, set, needle) {
					matched++
				}
			}
		}
		if t.Failed() {
			t.Fatalf("in %s", name)
		}
	}
	if matched < tried/2 {
		t.Errorf("of %d needles cut from messages %d were found", tried, matched)
	}
}

func FuzzNarrowing(f *testing.F) {
	f.Add("Subject: x\r\n\r\n", "the quick brown fox", 4, 9)
	parts, err := os.ReadFile("testdata/parts.eml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("", string(parts), 300, 20)
	f.Add("Content-Type: text/html\r\n\r\n", "<p>gr&uuml;<b>sse</b> 東京都は晴れ ภาษาไทย", 2, 30)
	f.Add("\r\n", strings.Repeat("aB3", 80)+"\xff ß", 70, 60)
	f.Add("\r\n", strings.Repeat("日本語テキスト", 20), 31, 33)
	f.Add("Content-Type: text/html\r\n\r\n", "<p>Donau&shy;dampf&zwnj; &#8203;\u200d\ufeffx</p>", 2, 9)
	f.Add("Content-Type: text/plain; charset=utf-8\r\n\r\n", "㌀㌀㌀ ㌚㌚", 0, 9)
	f.Add("Content-Type: text/plain; format=flowed\r\n\r\n", "cafe\u0301 ´ \r\nガｶﾞ ﬁ İı ㎏ \xe9", 3, 9)
	f.Fuzz(func(t *testing.T, head, text string, at, n int) {
		raw := []byte(head + text)
		if len(raw) > 1<<14 {
			return
		}
		decoded := textOf(t, raw)
		if len(decoded) == 0 {
			return
		}
		at = max(at, 0) % len(decoded)
		needle := string(decoded[at:min(len(decoded), at+max(n, 0)%200)])
		s, set := parseBytes(raw), termSet(t, raw)
		checkNarrowing(t, s, raw, set, needle)
		checkNarrowing(t, s, raw, set, strings.ToLower(needle))
		if checkNarrowing(t, s, raw, set, "\uE000 not there") {
			t.Error("found what is not there")
		}
		if utf8.ValidString(text) {
			checkNarrowing(t, s, raw, set, text)
		}
	})
}
