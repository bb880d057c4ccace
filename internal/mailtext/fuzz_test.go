package mailtext

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzMatch(f *testing.F) {
	f.Add("fox", "the quick brown fox", 3, false)
	f.Add("GRÜSSE ß", "<p>gr&uuml;sse&nbsp;\u00df</p>", 1, true)
	f.Add("\xff", "caf\xff", 2, false)
	f.Add("a b", "a<br>b<!-- c --><script>d</script>", 1, true)
	f.Fuzz(func(t *testing.T, needle, text string, size int, html bool) {
		size = max(size%64, 1)
		if len(needle)+len(text) > 1000 {
			return // the time in pieces of one byte grows with the square
		}
		m := NewMatcher(needle)
		pieces := func(w interface{ Write([]byte) (int, error) }) {
			for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if _, err := w.Write(rest[:min(size, len(rest))]); err != nil {
					return
				}
			}
		}
		if html {
			var whole, pieced bytes.Buffer
			h := htmlText{w: &whole}
			h.Write([]byte(text))
			h.end()
			h = htmlText{w: &pieced}
			pieces(&h)
			h.end()
			if whole.String() != pieced.String() {
				t.Errorf("whole %q, in pieces of %d %q", whole.String(), size, pieced.String())
			}
			return
		}
		s := stream{m: m}
		s.begin(true, true)
		pieces(&s)
		if s.end(); m.Match(text) != s.found {
			t.Errorf("%q in %q: in pieces of %d %v", needle, text, size, s.found)
		}
		if !m.Match(text+needle) && utf8.ValidString(text) && !strings.HasPrefix(needle, " ") {
			if m2 := NewMatcher(strings.TrimSpace(needle)); !m2.Match(text + " " + needle) {
				t.Errorf("%q not in itself", needle)
			}
		}
	})
}
