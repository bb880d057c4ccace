package outbox

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var reportTime = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func sampleReport() report {
	return report{
		Message: mailstore.Outgoing{ID: 7, From: "ann@example.org", MessageID: "<1@example.org>", Subject: "Grüße aus Łódź", QueuedAt: reportTime.Add(-time.Hour)},
		Recipients: []mailstore.OutgoingRecipient{
			{Address: "bob@example.com", State: mailstore.Refused, Reply: "550 5.1.1 no such user"},
			{Address: `"a b"@example.com`, State: mailstore.Refused, Reply: "given up after five days: 451 4.7.1 greylisted"},
			{Address: "jörg@example.com", State: mailstore.Refused, Reply: "the server takes no international addresses"},
		},
		Now: reportTime,
	}
}

func TestReportGolden(t *testing.T) {
	delayed := sampleReport()
	delayed.About, delayed.Reason = delay, "bob@example.com: the server answered 451 4.7.1 greylisted"
	delayed.Recipients = []mailstore.OutgoingRecipient{{Address: "bob@example.com", State: mailstore.Pending, Reply: "451 4.7.1 greylisted"}}
	doubted := delayed
	doubted.About, doubted.Reason = doubtful, ""
	kept := delayed
	kept.Message.Account, kept.Since, kept.Reason = "home", reportTime.Add(-90*time.Minute), "no connection to smtp.example.org:465"
	kept.Recipients = []mailstore.OutgoingRecipient{{Address: "bob@example.com", State: mailstore.Pending}}
	for name, r := range map[string]report{"refused": sampleReport(), "delayed": delayed, "kept": kept, "doubted": doubted} {
		got := r.bytes([]byte("From: ann@example.org\r\nTo: bob@example.com\r\nSubject: =?utf-8?q?x?=\r\n"))
		file := "testdata/" + name + ".eml"
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: error %v, report\n%s", name, err, got)
		}
	}
}

// parts reads a report as a mail program does.
func parts(t testing.TB, raw []byte) (header mail.Header, out []string, types []string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("content type %s, %v, error %v", kind, params, err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return m.Header, out, types
		}
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		out, types = append(out, string(content)), append(types, p.Header.Get("Content-Type"))
	}
}

// groups reads the part for programs (RFC 3464 section 2.1).
func groups(t testing.TB, part string) (out []textproto.MIMEHeader) {
	t.Helper()
	for group := range strings.SplitSeq(strings.TrimSuffix(part, "\r\n"), "\r\n\r\n") {
		h := make(textproto.MIMEHeader)
		for line := range strings.SplitSeq(strings.TrimSuffix(group, "\r\n"), "\r\n") {
			name, value, found := strings.Cut(line, ": ")
			if !found {
				t.Fatalf("no field: %q in %q", line, part)
			}
			h.Add(name, value)
		}
		out = append(out, h)
	}
	return out
}

func TestReportIsRead(t *testing.T) {
	header, texts, types := parts(t, sampleReport().bytes([]byte("Subject: original\r\n")))
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	if err != nil || subject != "Not delivered: Grüße aus Łódź" || header.Get("Auto-Submitted") != "auto-replied" || header.Get("To") != "<ann@example.org>" || header.Get("In-Reply-To") != "<1@example.org>" {
		t.Errorf("subject %q, error %v, header %v", subject, err, header)
	}
	if len(texts) != 3 || types[0] != "text/plain; charset=utf-8" || types[1] != "message/global-delivery-status" || types[2] != "text/rfc822-headers" || texts[2] != "Subject: original\r\n" {
		t.Fatalf("parts %q %q", types, texts)
	}
	all := groups(t, texts[1])
	if len(all) != 4 || all[0].Get("Reporting-MTA") != "dns; popbridge.invalid" {
		t.Fatalf("groups %v", all)
	}
	for i, want := range []struct{ to, status, code string }{
		{"rfc822; bob@example.com", "5.1.1", "smtp; 550 5.1.1 no such user"},
		{`rfc822; "a b"@example.com`, "5.0.0", ""},
		{"utf-8; jörg@example.com", "5.0.0", ""},
	} {
		g := all[i+1]
		if g.Get("Final-Recipient") != want.to || g.Get("Action") != "failed" || g.Get("Status") != want.status || g.Get("Diagnostic-Code") != want.code {
			t.Errorf("group %v", g)
		}
	}
}

// A report quotes the header without the Bcc, and not more than is needed.
func TestReportQuotesTheHeader(t *testing.T) {
	header := readHeader(strings.NewReader("From: a\r\nBcc: hidden@example.org,\r\n hidden2@example.org\r\nSubject: s\r\n\r\nthe text\r\n"))
	if string(header) != "From: a\r\nSubject: s\r\n" {
		t.Errorf("header %q", header)
	}
	large := readHeader(strings.NewReader("X: " + strings.Repeat("x", 100_000) + "\r\n" + strings.Repeat("Y: y\r\n", 100_000)))
	if len(large) > maxQuotedHeader+2 || len(large) < 900 {
		t.Errorf("%d bytes", len(large))
	}
}

// FuzzReport lets foreign text be anything: the report remains one message with three
// parts, and its fields those of a report.
func FuzzReport(f *testing.F) {
	f.Add("ann@example.org", "subject", "<1@x>", "bob@example.com", "550 5.1.1 no", "From: a\r\n\r\n")
	f.Add("ann@example.org", "a\r\nBcc: x\r\n\r\nbody", "<1@x>\r\nX: y", "bob\r\n@x", "550 no\r\n--=_outbox.7.1795780800.0", "--=_outbox.7.1795780800.0--\r\n")
	f.Add("ann@example.org", strings.Repeat("ü", 300), "", "ö\u2028@x", "\x00\xff", "\xff: \r\r\n")
	f.Fuzz(func(t *testing.T, from, subject, id, to, reply, header string) {
		r := sampleReport()
		r.Message.From, r.Message.Subject, r.Message.MessageID = from, subject, id
		r.Recipients = []mailstore.OutgoingRecipient{{Address: to, Reply: reply}}
		raw := r.bytes(readHeader(strings.NewReader(header)))
		if !utf8.Valid(raw) {
			t.Fatalf("no UTF-8: %q", raw)
		}
		if bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\r")) || bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\n")) {
			t.Fatalf("bare line ends: %q", raw)
		}
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if len(line) > 998 {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
		h, texts, _ := parts(t, raw)
		if len(texts) != 3 || len(h) > 10 {
			t.Fatalf("%d parts, header %v", len(texts), h)
		}
		if all := groups(t, texts[1]); len(all) != 2 || all[1].Get("Action") != "failed" {
			t.Fatalf("groups %v", all)
		}
	})
}

// Of who was refused who sent it is told once: also where that fails at first, and where the
// program ends before. Another refusal after another try is told again.
func TestARefusalIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.rcpt = func(string) smtp.Reply { return smtp.Reply{Code: 550, Text: "no such user"} }
		want := func(when string, reports, rejected, reported int) {
			t.Helper()
			if s := g.runner.Status(); s.Rejected != rejected || s.Reported != reported {
				t.Errorf("%s: status %+v", when, s)
			}
			if n, _ := g.told(); n != reports {
				t.Errorf("%s: %d reports, want %d", when, n, reports)
			}
		}
		fails := func(err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.reportErr = err
		}
		fails(errors.New("no INBOX"))
		id := g.submit("b")
		stop := g.serve()
		pass(10 * time.Second)
		want("no INBOX", 0, 1, 0)
		stop()
		g.restart(Account{})
		stop = g.serve()
		pass(10 * time.Second)
		want("no INBOX after a restart", 0, 1, 0)
		fails(nil)
		pass(storeRetry)
		want("told", 1, 1, 1)
		stop()
		g.restart(Account{})
		stop = g.serve()
		pass(time.Hour)
		want("told, and a restart", 1, 1, 1)
		g.queue.retry(id)
		pass(time.Hour)
		want("refused again", 2, 1, 1)
		g.queue.submit("home", "", sample(1), "b") // a receipt
		pass(time.Hour)
		want("without a sender", 2, 2, 1)
		stop()
	})
}

// What a former version has refused it has reported.
func TestRefusalsOfAFormerVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.rcpt = func(a string) smtp.Reply { return smtp.Reply{Code: 550, Text: "no such user"} }
		id := g.submit("b")
		g.queue.change(id, func(m *mailstore.Outgoing) {
			m.State, m.Recipients[0].State = mailstore.Rejected, mailstore.Refused
		})
		g.queue.memory["home"] = `{"late":[7]}`
		for range 2 {
			stop := g.serve()
			pass(time.Minute)
			if n := g.reportsOn("b"); n != 0 {
				t.Errorf("%d reports", n)
			}
			stop()
			g.restart(Account{})
		}
		stop := g.serve()
		g.submit("c")
		pass(time.Minute)
		if b, c := g.reportsOn("b"), g.reportsOn("c"); b != 0 || c != 1 {
			t.Errorf("%d reports and %d of the next one", b, c)
		}
		stop()
	})
}
