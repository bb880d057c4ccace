package message

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the summaries in testdata anew")

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
	dumpEnvelope(&b, "", &s.Envelope)
	dumpPart(&b, "", s.Root, raw)
	return b.String()
}

func dumpEnvelope(b *strings.Builder, indent string, e *Envelope) {
	if !e.Date.IsZero() {
		fmt.Fprintf(b, "%sdate %s\n", indent, e.Date.Format(time.RFC3339))
	}
	if e.Subject != "" {
		fmt.Fprintf(b, "%ssubject %q\n", indent, e.Subject)
	}
	lists := [][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc}
	for i, name := range []string{"from", "sender", "reply-to", "to", "cc", "bcc"} {
		for _, a := range lists[i] {
			fmt.Fprintf(b, "%s%s %q %q %q\n", indent, name, a.Name, a.Mailbox, a.Host)
		}
	}
	if e.MessageID != "" {
		fmt.Fprintf(b, "%smessage-id %s\n", indent, e.MessageID)
	}
	for _, id := range e.InReplyTo {
		fmt.Fprintf(b, "%sin-reply-to %s\n", indent, id)
	}
}

func dumpPart(b *strings.Builder, indent string, p *Part, raw []byte) {
	fmt.Fprintf(b, "%s%s/%s %s header %d body %d end %d lines %d\n", indent, p.Type, p.Subtype, p.Encoding, p.Header, p.Body, p.End, p.Lines)
	indent += "  "
	for _, f := range [][2]string{{"id", p.ID}, {"description", p.Description}, {"disposition", p.Disposition}, {"location", p.Location}, {"language", strings.Join(p.Language, " ")}} {
		if f[1] != "" {
			fmt.Fprintf(b, "%s%s %q\n", indent, f[0], f[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Params)) {
		fmt.Fprintf(b, "%sparameter %s %q\n", indent, name, p.Params[name])
	}
	for _, name := range slices.Sorted(maps.Keys(p.DispositionParams)) {
		fmt.Fprintf(b, "%sdisposition parameter %s %q\n", indent, name, p.DispositionParams[name])
	}
	if p.Envelope != nil {
		dumpEnvelope(b, indent+"envelope ", p.Envelope)
	}
	if len(p.Children) == 0 {
		fmt.Fprintf(b, "%sbody %.60q\n", indent, raw[p.Body:p.End])
	}
	for _, child := range p.Children {
		dumpPart(b, indent, child, raw)
	}
}
