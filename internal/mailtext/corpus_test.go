package mailtext_test

import (
	"bytes"
	"errors"
	"runtime"
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
	head := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	for name, line := range map[string]string{
		"lines":       strings.Repeat("x", 76) + "\r\n",
		"no line end": strings.Repeat("x", 1000),
		"dashes":      "--\r\n",
		"tags":        "<p>=20",
		"entities":    "&amp",
		"white space": " ",
		"attribute":   "<a href='x",
	} {
		raw := strings.NewReader(head + strings.Repeat(line, 1<<20/len(line)))
		s := message.Parse(raw, raw.Size())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := mailtext.NewMatcher("not there").MatchText(s, raw)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 || err != nil {
			t.Errorf("%s: MatchText allocated %d bytes, %v", name, n, err)
		}
	}
}

// failing gives an error after n bytes.
type failing struct {
	*bytes.Reader
	n int64
}

var errDisk = errors.New("disk on fire")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.n {
		n, _ := f.Reader.ReadAt(p[:max(f.n-off, 0)], off)
		return n, errDisk
	}
	return f.Reader.ReadAt(p, off)
}

func TestReadError(t *testing.T) {
	raw := []byte("Subject: x\r\n\r\n" + strings.Repeat("some text\r\n", 500))
	if _, err := mailtext.NewMatcher("not there").MatchText(parseBytes(raw), failing{bytes.NewReader(raw), 2000}); !errors.Is(err, errDisk) {
		t.Errorf("MatchText: %v", err)
	}
}
