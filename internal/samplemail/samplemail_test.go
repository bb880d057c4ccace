package samplemail

import (
	"bytes"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
)

var now = time.Date(2026, 3, 5, 14, 30, 0, 0, time.FixedZone("", 3600))

func parse(raw []byte) *message.Summary {
	return message.Parse(bytes.NewReader(raw), int64(len(raw)))
}

func byName(t *testing.T) map[string]sample {
	t.Helper()
	all := map[string]sample{}
	for _, s := range load(now) {
		if _, twice := all[s.name]; twice {
			t.Errorf("%s is there twice", s.name)
		}
		all[s.name] = s
	}
	return all
}

func TestAll(t *testing.T) {
	all := All(now)
	if len(all) < 40 {
		t.Errorf("%d messages, want at least 40", len(all))
	}
	again := All(now)
	total := 0
	for i, raw := range all {
		if !bytes.Equal(raw, again[i]) {
			t.Errorf("message %d differs from call to call", i)
		}
		if bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) || bytes.Contains(raw, []byte("\r\r")) {
			t.Errorf("message %d has other line ends than CRLF:\n%.200s", i, raw)
		}
		if bytes.Contains(raw, []byte("{{")) {
			t.Errorf("message %d has a mark left:\n%.500s", i, raw)
		}
		total += len(raw)
	}
	if total < 4<<20 || total > 8<<20 {
		t.Errorf("%d bytes in all", total)
	}
}

// All but the odd ones are sound, and everything in them can be decoded.
func TestMessagesAreSound(t *testing.T) {
	ids := map[string]string{}
	var before time.Time
	for _, s := range load(now) {
		sum := parse(s.raw)
		if strings.HasPrefix(s.name, "odd-") {
			continue
		}
		header, err := mail.ReadMessage(bytes.NewReader(s.raw))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		id := header.Header.Get("Message-ID")
		if id == "" || ids[id] != "" {
			t.Errorf("%s: message id %q is that of %q", s.name, id, ids[id])
		}
		ids[id] = s.name
		if sum.Envelope.From() == "" || header.Header.Get("To") == "" {
			t.Errorf("%s: %s", s.name, sum.Envelope)
		}
		date := sum.Envelope.Date()
		if !date.Equal(s.at) || !sum.Received.Equal(s.at) || date.After(now) || date.Before(now.AddDate(0, 0, -31)) {
			t.Errorf("%s: date %s, received %s, want %s", s.name, date, sum.Received, s.at)
		}
		if s.at.Before(before) {
			t.Errorf("%s is older than the one before it", s.name)
		}
		before = s.at
		checkDecodes(t, s, sum.Root)
		for _, id := range strings.Fields(header.Header.Get("In-Reply-To")) {
			if ids[id] == "" {
				t.Errorf("%s answers %s, which did not come before it", s.name, id)
			}
		}
	}
}

func checkDecodes(t *testing.T, s sample, p *message.Part) {
	t.Helper()
	for _, child := range p.Children {
		checkDecodes(t, s, child)
	}
	if len(p.Children) > 0 {
		return
	}
	r, err := message.Decode(bytes.NewReader(s.raw[p.Body:p.End]), p.Encoding)
	if err != nil {
		t.Errorf("%s: %v", s.name, err)
		return
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
	magic := map[string]string{"image/png": "\x89PNG\r\n", "application/pdf": "%PDF-", "application/zip": "PK\x03\x04", "image/bmp": "BM", "text/calendar": "BEGIN:VCALENDAR", "application/ics": "BEGIN:VCALENDAR"}
	if want := magic[p.Type+"/"+p.Subtype]; !bytes.HasPrefix(body, []byte(want)) {
		t.Errorf("%s: %s/%s begins with %.10q", s.name, p.Type, p.Subtype, body)
	}
}

// Every charset is read as it was meant, in the header and in the body.
func TestCharsets(t *testing.T) {
	all := byName(t)
	for name, want := range map[string][3]string{
		"latin1":          {"Jürgen Meyer", "Grüße aus dem Garten", "Gewächshaus"},
		"koi8-r":          {"Ольга Смирнова", "Обложка готова", "посмотрите, пожалуйста"},
		"iso-2022-jp":     {"田中春樹", "見本の件", "リンドクヴィスト様"},
		"big5":            {"陳美玲", "書展邀請", "歡迎您來"},
		"gb18030":         {"王磊", "纸张报价", "请查收"},
		"utf-8":           {"Zoë Okafor", "Posters are up 🎉 — café, library, naïve art shop", "Łódź road"},
		"windows-1252":    {"“The Word Shop”", "Your text – corrected, 25 €", "became “it’s”"},
		"latin9":          {"Chloé Dubois", "Le cœur du projet", "900 €"},
		"latin2":          {"Wojtek Łaski", "Zamówienie wysłane", "Cześć"},
		"euc-kr":          {"김지민", "표지 시안", "시안을 보냅니다"},
		"shift-jis":       {"佐藤", "本が届きました", "ありがとう"},
		"right-to-left":   {"נועה", "שלום אן", "יפה מאוד"},
		"odd-8bit-header": {"Jürgen", "Käsekuchen", "wieder Käsekuchen"},
	} {
		s, ok := all[name]
		if !ok {
			t.Errorf("no message %s", name)
			continue
		}
		sum := parse(s.raw)
		if got := sum.Envelope.From(); !strings.HasPrefix(got, want[0]+" <") {
			t.Errorf("%s: from %q, want %q", name, got, want[0])
		}
		if got := sum.Envelope.Subject(); got != want[1] {
			t.Errorf("%s: subject %q, want %q", name, got, want[1])
		}
		if found, err := mailtext.NewMatcher(want[2]).MatchBody(sum, bytes.NewReader(s.raw)); !found || err != nil {
			t.Errorf("%s: %q not in the body, %v", name, want[2], err)
		}
	}
}

// searched reports whether a search finds a text in the message.
func searched(raw []byte, text string) bool {
	found, err := mailtext.NewMatcher(text).MatchText(parse(raw), bytes.NewReader(raw))
	return found && err == nil
}

// What the demo is to show is there.
func TestForms(t *testing.T) {
	have := map[string]int{}
	var walk func(p *message.Part)
	walk = func(p *message.Part) {
		have[p.Type+"/"+p.Subtype]++
		for _, child := range p.Children {
			walk(child)
		}
	}
	all := byName(t)
	for _, s := range all {
		sum := parse(s.raw)
		walk(sum.Root)
		have["attachment"] += bytes.Count(sum.Structure, []byte(`("attachment" (`))
	}
	for _, form := range []string{
		"text/plain", "text/html", "text/calendar", "multipart/alternative", "multipart/related", "multipart/mixed",
		"multipart/signed", "multipart/report", "multipart/digest", "message/rfc822", "message/delivery-status",
		"image/png", "application/pdf", "application/zip", "attachment",
	} {
		if have[form] == 0 {
			t.Errorf("no %s", form)
		}
	}
	if sum := parse(all["empty-subject"].raw); sum.Envelope.Subject() != "" {
		t.Errorf("empty subject is %q", sum.Envelope.Subject())
	}
	if !bytes.Contains(all["dots"].raw, []byte("\r\n.\r\n..\r\n...\r\n")) {
		t.Error("no dots at the start of lines")
	}
	if s := all["file-names"]; !searched(s.raw, "été au jardin, première version.txt") {
		t.Errorf("no file name in %s", parse(s.raw).Structure)
	}
	if !bytes.Contains(all["thread-10"].raw, []byte("In-Reply-To: <")) {
		t.Error("the thread has no ten messages")
	}
}

func TestNext(t *testing.T) {
	seen := map[string]bool{}
	for i := range 500 {
		raw := Next(i, now)
		if !bytes.Equal(raw, Next(i, now)) {
			t.Fatalf("message %d differs from call to call", i)
		}
		sum := parse(raw)
		e := sum.Envelope
		if !e.Date().Equal(now) || e.Subject() == "" || e.From() == "" || strings.Contains(string(raw), "%!") {
			t.Fatalf("message %d: %+v\n%s", i, e, raw)
		}
		if bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) {
			t.Fatalf("message %d has other line ends than CRLF", i)
		}
		header, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		id := header.Header.Get("Message-ID")
		if seen[id] {
			t.Fatalf("message id %s came twice", id)
		}
		seen[id] = true
		seen[e.Subject()+e.From()] = true
	}
	if len(seen) < 500+300 {
		t.Errorf("only %d different subjects and senders in 500", len(seen)-500)
	}
	Next(-1, now) // must not panic
}
