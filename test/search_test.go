package test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// foundElse says why a search of Dovecot finds another set of words in these
// messages. docs/decisions/0008 has the differences that are rules: messages
// with HTML and needles with white space are left out here.
var foundElse = map[string]string{
	"cpython-msg_33.eml":                               "a boundary in RFC 2231 form, which Dovecot does not read",
	"flanker-broken-ctype.eml":                         "a part of no type is text here",
	"mimekit-yenc-00000021.ntx.eml":                    "8-bit text of no charset is Latin-1 here, and its é begins with an e",
	"mime4j-basic-plain-with-bad-header-separator.eml": "where the header ends",
	"mime4j-double-semicolon.eml":                      "a boundary behind two semicolons, which Dovecot does not read",
	"mime4j-malformedHeader-noheader.eml":              "where the header ends",
	"mime4j-multi-2gifs-base64.eml":                    "Dovecot decodes the base64 of a message/rfc822, which must not have any",
	"mime4j-multi-digest.eml":                          "a boundary that is folded, which Dovecot does not read",
	"mime4j-very-long-boundary.eml":                    "where the parts are",
	"mime4j-very-very-long-boundary.eml":               "where the parts are",
	"ruby-mail-content_transfer_encoding_plain.eml":    "an encoding no one knows: the text is what is there",
	"ruby-mail-example13.eml":                          "a comment in a domain",
	"stalwart-mp-legacy-001.eml":                       "UTF-7, which is not read here",
	"stalwart-mp-legacy-005.eml":                       "UTF-7, which is not read here",
	"stalwart-mp-thirdparty-004.eml":                   "encodings no one knows: the text is what is there",
	"stalwart-mp-malformed-017.eml":                    "a boundary on a line that is not folded",
	"stalwart-mp-malformed-022.eml":                    "a message in the message that is none",
	"stalwart-mp-rfc-008.eml":                          "Dovecot decodes the base64 of a message/rfc822, which must not have any",
	"zbateson-emails-m3007.eml":                        "an encoding no one knows: the text is what is there",
}

// TestSearchBesideDovecot searches the corpus for pieces of words that stand in
// it, on both servers.
func TestSearchBesideDovecot(t *testing.T) {
	corpus := testkit.Corpus(t)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(corpus)), func(name string) bool {
		return bytes.Contains(bytes.ToLower(corpus[name]), []byte("html"))
	})
	served, ours, dialTheirs := besideDovecot(t, corpus, names)
	theirs := dialTheirs()

	total := 0
	for _, needle := range wordPieces(served, 60) {
		for _, key := range []string{"TEXT", "BODY", "SUBJECT", "HEADER MESSAGE-ID"} {
			line := fmt.Sprintf("SEARCH %s %q", key, needle)
			a, b := numbers(ours.must("%s", line)), numbers(theirs.must("%s", line))
			total += len(b)
			for i, name := range names {
				if a[i+1] != b[i+1] && foundElse[name] == "" {
					t.Errorf("%s finds %s: %v, with Dovecot %v", line, name, a[i+1], b[i+1])
				}
			}
		}
	}
	if total == 0 {
		t.Error("nothing was found")
	}
	t.Logf("%d messages, found %d times", len(names), total)
}

// wordPieces cuts pieces out of words in the messages.
func wordPieces(messages [][]byte, n int) (pieces []string) {
	rnd := rand.New(rand.NewPCG(3, 3))
	word := regexp.MustCompile(`[A-Za-z]{3,}`)
	for len(pieces) < n {
		words := word.FindAllString(string(messages[rnd.IntN(len(messages))]), -1)
		if len(words) == 0 {
			continue
		}
		w := words[rnd.IntN(len(words))]
		at := rnd.IntN(len(w) - 2)
		pieces = append(pieces, w[at:min(len(w), at+3+rnd.IntN(10))])
	}
	return pieces
}

// numbers reads the answer to a SEARCH.
func numbers(untagged []string) map[int]bool {
	found := map[int]bool{}
	for _, line := range untagged {
		rest, ok := strings.CutPrefix(line, "* SEARCH")
		for _, word := range strings.Fields(rest) {
			var n int
			if _, err := fmt.Sscan(word, &n); ok && err == nil {
				found[n] = true
			}
		}
	}
	return found
}
