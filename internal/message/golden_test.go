package message

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the summaries in testdata")

func goldenFiles(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	return files
}

// TestGolden compares summaries of small messages with those in testdata. The
// line ends of a message are CRLF unless its file is named ...-lf.txtar.
func TestGolden(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw := bytes.ReplaceAll(a.Files[0].Data, []byte("\r\n"), []byte("\n"))
			if !strings.HasSuffix(file, "-lf.txtar") {
				raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
			}
			got := dump(checkMessage(t, raw), raw)
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "summary", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// dump writes a summary so that a person can check it.
func dump(s *Summary, raw []byte) string {
	var b strings.Builder
	if !s.Received.IsZero() {
		fmt.Fprintf(&b, "received %s\n", s.Received.Format(time.RFC3339))
	}
	fmt.Fprintf(&b, "envelope %s\nstructure %s\n", s.Envelope, s.Structure)
	dumpPart(&b, "", s.Root, raw)
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

func dumpPart(b *strings.Builder, indent string, p *Part, raw []byte) {
	fmt.Fprintf(b, "%s%s/%s %s header %d body %d end %d lines %d", indent, p.Type, p.Subtype, p.Encoding, p.Header, p.Body, p.End, p.Lines)
	if p.Charset != "" {
		fmt.Fprintf(b, " charset %s", p.Charset)
	}
	if p.Flowed {
		b.WriteString(" flowed")
	}
	if b.WriteByte('\n'); len(p.Children) == 0 {
		fmt.Fprintf(b, "%s  body %.60q\n", indent, raw[p.Body:p.End])
	}
	for _, child := range p.Children {
		dumpPart(b, indent+"  ", child, raw)
	}
}
