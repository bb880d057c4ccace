package test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/test/rig"
)

// question is mail that Ann gets and answers.
var question = []byte("From: bob@example.org\r\nTo: ann@example.org\r\nSubject: a question\r\nMessage-ID: <question@example.org>\r\nDate: Mon, 2 Jun 2025 10:00:00 +0000\r\n\r\nWhen?\r\n")

func (w *wayOut) isAsked(t *testing.T) {
	t.Helper()
	must(t, w.dovecot.Put("ann", question))
	command(t, w.Popbridge, 0, "sync")
}

// hasAnswered looks at an answer to question as it has arrived, and at question.
func (w *wayOut) hasAnswered(t *testing.T, answer []byte) {
	t.Helper()
	if !bytes.Contains(answer, []byte("\r\nIn-Reply-To: <question@example.org>\r\n")) {
		t.Errorf("the answer does not name what it answers: %q", clip(answer))
	}
	if flags := flagsOf(t, w.Popbridge, "INBOX")[sum(question)]; !slices.Contains(flags, imap.FlagAnswered) {
		t.Errorf("what was answered has the flags %v", flags)
	}
}

// arrivedAsSent returns the n-th message of Bob, which is byte for byte what Sent has,
// but for what a mail server adds at its top, Bcc, and fields that are excepted.
func (w *wayOut) arrivedAsSent(t *testing.T, n int, subject string, except ...string) []byte {
	t.Helper()
	got := w.arrives(t, n, subject, nil)
	w.sent(t, n)
	except = append(except, "Bcc")
	for _, m := range fetchAll(t, w.Popbridge, "Sent") {
		if !bytes.Contains(m.body, []byte("\r\nSubject: "+subject+"\r\n")) {
			continue
		}
		if arrived, sent := without(got, except), without(m.body, except); !bytes.HasSuffix(arrived, sent) {
			t.Errorf("%s: what has arrived is not what Sent has: %s", subject, firstDifference(arrived, sent))
		}
		return got
	}
	t.Fatalf("%s is not in Sent", subject)
	return nil
}

// without takes fields of one line out of a header.
func without(raw []byte, fields []string) []byte {
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	var b bytes.Buffer
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if name, _, _ := strings.Cut(string(line), ":"); !slices.Contains(fields, name) {
			b.Write(append(line, "\r\n"...))
		}
	}
	return append(append(b.Bytes(), "\r\n"...), body...)
}

// neomutt, on the file of client-setup alone, answers over SMTP here.
func TestNeomuttSends(t *testing.T) {
	rig.Need(t, "neomutt", "tmux")
	t.Parallel()
	w := newWayOut(t, "starttls")
	w.isAsked(t)
	dir := t.TempDir()
	s := inTerminal(t, dir, nil, "neomutt", "-n", "-F", neomuttrc(t, w.Popbridge, dir, ""))
	s.shows("[1 messages, 1 shown]")
	s.press("1", "Enter", "r")
	s.shows("Send")
	s.press("y")
	s.shows("[1 messages")
	s.press("q")
	s.ends()
	w.hasAnswered(t, w.arrivedAsSent(t, 1, "Re: a question", "Date")) // which neomutt writes anew into its copy
}

// mbsync copies all folders both ways, among them Outbox and Sent, while mail waits, while
// it leaves, and after that: nothing fails, and nothing is there twice.
func TestMbsyncWhileMailIsSent(t *testing.T) {
	rig.Need(t, "mbsync")
	t.Parallel()
	w := newWayOut(t, "starttls")
	w.isAsked(t)
	s := &twins{t: t, p: w.Popbridge, dir: filepath.Join(w.Dir, "Mail")}
	must(t, os.Mkdir(s.dir, 0o700))
	rc := s.mbsyncrc(w.Port)
	sync := func(folders map[string]int) {
		t.Helper()
		for range 2 {
			program(t, w.Dir, "mbsync", "-c", rc, "popbridge")
			for folder, want := range folders {
				near, far := len(maildir(t, filepath.Join(s.dir, folder))), w.count(t, folder)
				if near != want || far != want {
					t.Errorf("%s has %d messages here and %d there, want %d", folder, near, far, want)
				}
			}
		}
	}
	sync(map[string]int{"INBOX": 1, "Sent": 0})
	w.postfix.Halt()
	letter := func(subject string) string {
		return "From: ann@example.org\r\nTo: bob@example.org\r\nDate: Mon, 2 Jun 2025 10:00:00 +0000\r\nMessage-ID: <" + subject + "@example.org>\r\nSubject: " + subject + "\r\n\r\nhello\r\n"
	}
	// own is the copy that a mail program saves in the Maildir.
	own := func(subject string) {
		write(t, filepath.Join(s.dir, "Sent", "cur", "17500.M1P1."+subject+":2,S"), strings.ReplaceAll(letter(subject), "\r\n", "\n"))
	}
	for _, subject := range []string{"one", "two", "three", "never"} {
		w.handOver(t, letter(subject))
	}
	sync(map[string]int{"INBOX": 1, "Outbox": 4, "Sent": 0})
	own("one")
	for _, file := range maildir(t, filepath.Join(s.dir, "Outbox")) {
		raw, err := os.ReadFile(file)
		must(t, err)
		switch messageID(t, raw) {
		case "two@example.org":
			setMaildirFlags(t, file, "FS")
		case "never@example.org":
			must(t, os.Remove(file))
		}
	}
	sync(map[string]int{"INBOX": 1, "Outbox": 3, "Sent": 1})
	must(t, w.postfix.Resume(context.WithoutCancel(t.Context())))
	command(t, w.Popbridge, 0, "sync")
	program(t, w.Dir, "mbsync", "-q", "-c", rc, "popbridge") // at whatever moment this is
	w.arrives(t, 3, "three", nil)
	w.sent(t, 3)
	own("three")
	sync(map[string]int{"INBOX": 1, "Outbox": 0, "Sent": 3})
	// What nobody has handed over is refused in Outbox; the rest goes on.
	write(t, filepath.Join(s.dir, "Outbox", "cur", "17500.M1P1.stray:2,S"), letter("stray"))
	if out := program(t, w.Dir, "mbsync", "-c", rc, "popbridge"); !strings.Contains(out, "refuses to store message") || w.count(t, "Outbox") != 0 {
		t.Errorf("Outbox has %d messages, mbsync says %s", w.count(t, "Outbox"), out)
	}
}
