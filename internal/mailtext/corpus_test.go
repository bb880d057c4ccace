package mailtext_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/testkit"
)

func parseBytes(b []byte) *message.Summary { return message.Parse(bytes.NewReader(b), int64(len(b))) }

// Every message of the corpus can be searched.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for name, raw := range testkit.Corpus(t) {
		t.Run(name, func(t *testing.T) {
			if found, err := mailtext.NewMatcher("\uE000 not there").MatchText(parseBytes(raw), bytes.NewReader(raw)); found || err != nil {
				t.Errorf("MatchText: %v, %v", found, err)
			}
		})
	}
}

// Memory does not depend on the size of the message.
func TestMemory(t *testing.T) {
	for name, line := range testkit.LongLines {
		raw := strings.NewReader(testkit.LongHead + strings.Repeat(line, 1<<20/len(line)))
		s := message.Parse(raw, raw.Size())
		var err error
		if n := testkit.Allocated(func() { _, err = mailtext.NewMatcher("not there").MatchText(s, raw) }); n > 512<<10 || err != nil {
			t.Errorf("%s: MatchText allocated %d bytes, %v", name, n, err)
		}
	}
}

func TestReadError(t *testing.T) {
	raw := []byte("Subject: x\r\n\r\n" + strings.Repeat("some text\r\n", 500))
	if _, err := mailtext.NewMatcher("not there").MatchText(parseBytes(raw), testkit.FailingReader{Reader: bytes.NewReader(raw), N: 2000}); !errors.Is(err, testkit.ErrDisk) {
		t.Errorf("MatchText: %v", err)
	}
}
