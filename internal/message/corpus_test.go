package message

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/testkit"
)

func parseBytes(b []byte) *Summary { return Parse(bytes.NewReader(b), int64(len(b))) }

// Every message of the corpus gives a sound summary that survives storage.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for name, raw := range testkit.Corpus(t) {
		t.Run(name, func(t *testing.T) { checkMessage(t, raw) })
	}
}

// checkMessage checks what must hold for the summary of any bytes.
func checkMessage(t *testing.T, raw []byte) *Summary {
	t.Helper()
	s := parseBytes(raw)
	checkSummary(t, s, raw)
	checkHeader(t, &s.Header, raw[:s.Root.Body])
	var again Summary
	if err := again.Unmarshal(s.Marshal(), true); err != nil {
		t.Fatal(err)
	}
	stored := *s
	stored.Received, stored.Root = time.Time{}, withoutLines(s.Root)
	if !reflect.DeepEqual(&stored, &again) { // cmp takes exponential time in deep trees
		t.Errorf("stored summary differs:\n%s\n%s", dump(s, raw), dump(&again, raw))
	}
	return s
}

// withoutLines is a tree as it is stored.
func withoutLines(p *Part) *Part {
	stored := *p
	stored.Lines, stored.Children = 0, nil
	for _, child := range p.Children {
		stored.Children = append(stored.Children, withoutLines(child))
	}
	return &stored
}

func checkSummary(t *testing.T, s *Summary, raw []byte) {
	t.Helper()
	checkEnvelope(t, s.Envelope)
	checkStructure(t, s.Structure, s.Root)
	body := AppendBody(nil, s.Structure)
	if value, rest := nextValue(body); len(rest) > 0 || len(value) != len(body) || len(body) >= len(s.Structure) {
		t.Errorf("BODY is %.500q of BODYSTRUCTURE %.500q", body, s.Structure)
	}
	root := s.Root
	if root.Header != 0 || root.End != int64(len(raw)) {
		t.Errorf("root is [%d, %d), message has %d bytes", root.Header, root.End, len(raw))
	}
	checkPart(t, root, raw, 0)
}

// checkHeader checks that what is answered without the message is what the
// message says.
func checkHeader(t *testing.T, h *Header, raw []byte) {
	t.Helper()
	if h.Size != int64(len(raw)) {
		t.Errorf("header of %d bytes has %d", len(raw), h.Size)
	}
	filter := func(fields ...string) string {
		var b strings.Builder
		if err := FilterHeader(&b, bytes.NewReader(raw), fields, false); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	all := filter(keptFields...)
	if complete := endsBlank(raw) && len(raw) <= maxHeader && len(all) <= maxLines; h.Complete() != complete {
		t.Errorf("of a header of %d bytes, with %d to be kept: complete is %v", len(raw), len(all), h.Complete())
	}
	if !h.Complete() {
		return
	}
	for _, fields := range append(clientFields, keptFields, nil) {
		if got, want := string(h.AppendFields(nil, fields)), filter(fields...); got != want {
			t.Errorf("%q: %q is kept, the message has %q", fields, got, want)
		}
	}
	whole, err := ReadHeader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range keptFields {
		if got, want := textsOf(h, name), textsOf(whole, name); !slices.Equal(got, want) {
			t.Errorf("%s: %q is kept, the message has %q", name, got, want)
		}
	}
}

// textsOf returns the values of the fields of one name.
func textsOf(h *Header, name string) (texts []string) {
	for f := range h.Fields() {
		if f.Is(name) {
			texts = append(texts, string(f.Text()))
		}
	}
	return texts
}

// endsBlank reports whether a header has its blank line.
func endsBlank(raw []byte) bool {
	rest, ok := bytes.CutSuffix(raw, []byte("\n"))
	rest = bytes.TrimSuffix(rest, []byte("\r"))
	return ok && (len(rest) == 0 || rest[len(rest)-1] == '\n')
}

// clientFields are the fields that programs ask for.
var clientFields = [][]string{
	strings.Fields("From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To"),                                                                        // Thunderbird
	strings.Fields("DATE FROM SENDER SUBJECT TO CC MESSAGE-ID REFERENCES CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO REPLY-TO LINES LIST-POST LIST-SUBSCRIBE LIST-UNSUBSCRIBE X-LABEL X-ORIGINAL-TO"),          // NeoMutt
	strings.Fields("DATE FROM TO CC SUBJECT REFERENCES IN-REPLY-TO MESSAGE-ID MIME-VERSION CONTENT-TYPE X-MAILING-LIST X-LOOP LIST-ID LIST-POST MAILING-LIST ORIGINATOR X-LIST SENDER RETURN-PATH X-BEENTHERE"), // Evolution
	strings.Fields("date subject from content-type to cc reply-to message-id references in-reply-to list-unsubscribe sender X-K9mail-Identity Chat-Version"),                                                    // K-9 Mail
}

func TestKeeps(t *testing.T) {
	for _, fields := range clientFields {
		if !Keeps(fields) {
			t.Errorf("%s: not all are kept", fields)
		}
	}
	if Keeps([]string{"From", "Received"}) {
		t.Error("Received is kept")
	}
}

func checkPart(t *testing.T, p *Part, raw []byte, depth int) {
	t.Helper()
	if p.Header > p.Body || p.Body > p.End || p.End > int64(len(raw)) || p.Header < 0 {
		t.Fatalf("part %s/%s: header %d, body %d, end %d of %d", p.Type, p.Subtype, p.Header, p.Body, p.End, len(raw))
	}
	if n := int64(bytes.Count(raw[p.Body:p.End], []byte("\n"))); p.Lines != n {
		t.Errorf("part %s/%s [%d, %d): %d lines, counted %d", p.Type, p.Subtype, p.Body, p.End, p.Lines, n)
	}
	if depth >= maxDepth+1 {
		t.Fatalf("depth %d", depth)
	}
	if p.Type == "" || p.Subtype == "" || p.Encoding == "" {
		t.Errorf("part without type or encoding: %+v", p)
	}
	switch {
	case p.Multipart():
		if len(p.Children) == 0 {
			t.Error("multipart without parts")
		}
	case p.Message():
		if len(p.Children) != 1 {
			t.Errorf("message with %d children", len(p.Children))
		}
	case len(p.Children) != 0:
		t.Errorf("%s/%s with %d children", p.Type, p.Subtype, len(p.Children))
	}
	from := p.Body
	for _, child := range p.Children {
		if child.Header < from || child.End > p.End {
			t.Errorf("child [%d, %d) outside [%d, %d)", child.Header, child.End, from, p.End)
		}
		checkPart(t, child, raw, depth+1)
		from = child.End
	}
}

// checkEnvelope checks the shape of an envelope (RFC 9051 section 9, envelope).
func checkEnvelope(t *testing.T, e Envelope) {
	t.Helper()
	values := valuesOf(e)
	if value, rest := nextValue(e); len(values) != envelopeFields || len(value) != len(e) || len(rest) > 0 {
		t.Fatalf("envelope has %d values: %.500q", len(values), e)
	}
	for i, value := range values {
		if i < envelopeFrom || i > envelopeBcc {
			checkString(t, value)
			continue
		}
		checkAddresses(t, value)
	}
	if text := e.Subject() + e.From(); !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n\x00") {
		t.Errorf("not fit for a line: %q", text)
	}
}

func checkAddresses(t *testing.T, list []byte) {
	t.Helper()
	if string(list) == "NIL" {
		return
	}
	inGroup := false
	addresses := valuesOf(list)
	if len(addresses) == 0 {
		t.Errorf("empty list %q", list)
	}
	for _, a := range addresses {
		parts := valuesOf(a)
		if len(parts) != 4 {
			t.Fatalf("address %q in %q", a, list)
		}
		for _, part := range parts {
			checkString(t, part)
		}
		switch mailbox, host := string(parts[2]) != "NIL", string(parts[3]) != "NIL"; {
		case !mailbox && host:
			t.Errorf("address without mailbox: %q", list)
		case !host && mailbox == inGroup:
			t.Errorf("start or end of a group that is none: %q", list)
		case !host:
			inGroup = mailbox
		}
	}
	if inGroup {
		t.Errorf("group does not end: %q", list)
	}
}

func checkString(t *testing.T, s []byte) {
	t.Helper()
	quoted := len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"'
	if !quoted && string(s) != "NIL" && s[0] != '{' || quoted && bytes.ContainsAny(s, "\r\n\x00") {
		t.Errorf("no string: %.500q", s)
	}
}

// checkStructure checks that a structure has the parts of the tree.
func checkStructure(t *testing.T, structure []byte, p *Part) {
	t.Helper()
	values := valuesOf(structure)
	if n := len(p.Children); p.Multipart() {
		if len(values) != n+5 {
			t.Fatalf("%d values of a multipart with %d children: %.500q", len(values), n, structure)
		}
		for i, child := range p.Children {
			checkStructure(t, values[i], child)
		}
		return
	}
	if size := strconv.FormatInt(p.End-p.Body, 10); len(values) < 11 || string(values[6]) != size {
		t.Fatalf("part of %s octets: %.500q", size, structure)
	}
	if p.Message() {
		checkEnvelope(t, Envelope(values[7]))
		checkStructure(t, values[8], p.Children[0])
		if lines := strconv.FormatInt(p.Lines, 10); string(values[9]) != lines {
			t.Errorf("%q lines of %s", values[9], lines)
		}
	}
}
