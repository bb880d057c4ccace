package samplemail

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

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
		e := sum.Envelope
		if e.MessageID == "" || ids[e.MessageID] != "" {
			t.Errorf("%s: message id %q is that of %q", s.name, e.MessageID, ids[e.MessageID])
		}
		ids[e.MessageID] = s.name
		if len(e.From) == 0 || len(e.To) == 0 {
			t.Errorf("%s: from %v to %v", s.name, e.From, e.To)
		}
		if !e.Date.Equal(s.at) || !sum.Received.Equal(s.at) || e.Date.After(now) || e.Date.Before(now.AddDate(0, 0, -31)) {
			t.Errorf("%s: date %s, received %s, want %s", s.name, e.Date, sum.Received, s.at)
		}
		if s.at.Before(before) {
			t.Errorf("%s is older than the one before it", s.name)
		}
		before = s.at
		checkDecodes(t, s, sum.Root)
		for _, id := range e.InReplyTo {
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
		if got := sum.Envelope.From[0].Name; got != want[0] {
			t.Errorf("%s: from %q, want %q", name, got, want[0])
		}
		if sum.Envelope.Subject != want[1] {
			t.Errorf("%s: subject %q, want %q", name, sum.Envelope.Subject, want[1])
		}
		if found, err := sum.MatchBody(bytes.NewReader(s.raw), message.NewMatcher(want[2])); !found || err != nil {
			t.Errorf("%s: %q not in the body, %v", name, want[2], err)
		}
	}
}

// What the demo is to show is there.
func TestForms(t *testing.T) {
	have := map[string]int{}
	var walk func(p *message.Part)
	walk = func(p *message.Part) {
		have[p.Type+"/"+p.Subtype]++
		if p.Disposition == "attachment" {
			have["attachment"]++
		}
		for _, child := range p.Children {
			walk(child)
		}
	}
	all := byName(t)
	for _, s := range all {
		walk(parse(s.raw).Root)
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
	if sum := parse(all["empty-subject"].raw); sum.Envelope.Subject != "" {
		t.Errorf("empty subject is %q", sum.Envelope.Subject)
	}
	if !bytes.Contains(all["dots"].raw, []byte("\r\n.\r\n..\r\n...\r\n")) {
		t.Error("no dots at the start of lines")
	}
	sum := parse(all["file-names"].raw)
	if got := sum.Root.Children[1].DispositionParams["filename"]; got != "été au jardin, première version.txt" {
		t.Errorf("file name %q", got)
	}
	if len(parse(all["thread-10"].raw).Envelope.InReplyTo) != 1 {
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
		if !e.Date.Equal(now) || e.Subject == "" || len(e.From) != 1 || strings.Contains(string(raw), "%!") {
			t.Fatalf("message %d: %+v\n%s", i, e, raw)
		}
		if bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) {
			t.Fatalf("message %d has other line ends than CRLF", i)
		}
		if key := e.MessageID; seen[key] {
			t.Fatalf("message id %s came twice", key)
		}
		seen[e.MessageID] = true
		seen[e.Subject+e.From[0].Name] = true
	}
	if len(seen) < 500+300 {
		t.Errorf("only %d different subjects and senders in 500", len(seen)-500)
	}
	Next(-1, now) // must not panic
}
