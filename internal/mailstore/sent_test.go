package mailstore

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// send queues letter n and has it accepted.
func (r *rig) send(sub Submission) OutgoingID {
	r.t.Helper()
	id := r.submit(sub)
	r.handover(id)
	r.attempted(id, accepted(sub.Recipients...))
	return id
}

// save does what a mail program does that saves a message to Sent.
func (r *rig) save(text string, flags ...string) Delivered {
	r.t.Helper()
	return r.deliver(Delivery{Mailbox: r.id("Sent"), Message: r.spool(text), ReceivedAt: r.clock.t, Flags: flags, Once: 24 * time.Hour})[0]
}

// asSaved are forms in which mail programs save letter n.
var asSaved = map[string]func(n int) string{
	"the same bytes": letter,
	"without Bcc":    func(n int) string { return strings.Replace(letter(n), "Bcc: secret@example.com\r\n", "", 1) },
	"another form":   func(n int) string { return strings.Replace(letter(n), "dear", "<p>dear", 1) },
	"another header": func(n int) string {
		return "X-Program: 1\r\n" + strings.Replace(letter(n), "To: eva", "To:\r\n eva", 1)
	},
	"dated anew":    func(n int) string { return strings.Replace(letter(n), ":00:01 ", ":00:02 ", 1) },
	"no Message-ID": func(n int) string { return strings.Replace(letter(n), "Message-ID:", "X-ID:", 1) },
}

func TestWhatAMailProgramSavesBeforeItIsSent(t *testing.T) {
	for what, saved := range asSaved {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			r.save(saved(1), "later")
			r.send(r.submission(1))
			r.send(r.submission(2))
			r.want("Sent", "1 later letter 1\n2 \\Seen letter 2")
			equal(t, "bytes", string(r.read(hashOf(saved(1)))), saved(1))
			if want := map[bool]string{false: "Outbox: letter 1"}[saved(1) == letter(1)]; r.gone() != want {
				t.Errorf("expunged %q, want %q", r.gone(), want)
			}
		})
	}
}

func TestWhatAMailProgramSavesAfterItWasSent(t *testing.T) {
	for what, saved := range asSaved {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			r.send(r.submission(1))
			r.send(r.submission(2))
			r.mark("Sent", 1, `\Flagged`)
			r.clock.t = start.Add(time.Hour)
			done := r.save(saved(1))
			if same := saved(1) == letter(1); same != done.Duplicate || same && done.UID != 1 || !same && done.UID != 3 {
				t.Errorf("saved as %+v", done)
			}
			p := r.view("Sent").Snapshot()
			if len(p.UIDs) != 2 || strings.Count(r.lines("Sent"), `\Flagged letter 1`) != 1 {
				t.Errorf("Sent has\n%s", r.lines("Sent"))
			}
			equal(t, "bytes", string(r.read(hashOf(saved(1)))), saved(1))
			// A second one is another.
			if done := r.save(saved(1) + "PS\r\n"); done.Duplicate || r.box("Sent").Messages != 3 {
				t.Errorf("saved as %+v", done)
			}
		})
	}
}

// TestWhatIsSavedWithoutWhatWasAdded: programs that write no Date, or no Message-ID, save
// their copy without it, too, or with one of its own.
func TestWhatIsSavedWithoutWhatWasAdded(t *testing.T) {
	const (
		date = "Date: Tue, 03 Nov 2026 09:00:00 +0000\r\n"
		id   = "Message-ID: <aaaaaaaaaaaaaaaaaaaaaaaaaa@example.com>\r\n"
		text = "From: Ann <ann@example.com>\r\nTo: eva@example.com\r\nSubject: letter 1\r\n\r\ndear\r\n"
		own  = "Message-ID: <l1@example.com>\r\n" + text
		near = "Date: Tue, 3 Nov 2026 09:00:02 +0000\r\n"
		far  = "Date: Tue, 3 Nov 2026 10:00:02 +0000\r\n"
	)
	for what, c := range map[string]struct {
		added, rest, saved string
		one                bool
	}{
		"no Date":                     {date, own, own, true},
		"neither":                     {date + id, text, text, true},
		"neither, other line ends":    {date + id, text, strings.ReplaceAll(text, "\r\n", "\n"), true},
		"neither, Bcc":                {date + id, text, "Bcc: bob@example.com\r\n" + text, true},
		"neither, then both":          {date + id, text, near + own, true},
		"no Message-ID":               {id, near + text, near + text, true},
		"no Date, no Message-ID then": {date, own, text, true},
		"neither, of another time":    {date + id, text, far + own, false},
		"no Date, another Message-ID": {date, own, "Message-ID: <l2@example.com>\r\n" + text, false},
		"no Date, another subject":    {date, own, strings.Replace(own, "letter 1", "letter 2", 1), false},
		"neither, another text":       {date + id, text, text + "PS\r\n", false},
		"a Date of its own":           {"", "X-Program: 1\r\n" + date + own, own, false},
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, before %v", what, before), func(t *testing.T) {
				r := newStore(t)
				send := func() {
					sub := r.undated(c.added, c.rest)
					if strings.Contains(c.added, "Message-ID") {
						sub.MessageID = strings.TrimSpace(strings.TrimPrefix(id, "Message-ID: "))
					}
					r.send(sub)
				}
				if before {
					r.save(c.saved)
				}
				send()
				if !before {
					r.save(c.saved)
				}
				if n, want := r.box("Sent").Messages, map[bool]int64{true: 1, false: 2}[c.one]; int64(n) != want {
					t.Errorf("%d messages in Sent, want %d", n, want)
				}
				equal(t, "bytes", string(r.read(hashOf(c.saved))), c.saved)
			})
		}
	}
}

// Of equal mails that a program sends and saves none is taken for the copy of another.
func TestEqualMailsAreSavedEach(t *testing.T) {
	const text = "From: Ann <ann@example.com>\r\nTo: eva@example.com\r\nSubject: letter 1\r\n\r\ndear\r\n"
	for _, order := range []string{"sSsS", "SsSs", "ssSS", "SSss"} { // s: sent, S: saved
		t.Run(order, func(t *testing.T) {
			r := newStore(t)
			for n, what := range order {
				if what == 'S' {
					r.save(text)
					continue
				}
				id := fmt.Sprintf("<aaaaaaaaaaaaaaaaaaaaaaaaa%c@example.com>", 'a'+n)
				sub := r.undated(fmt.Sprintf("Date: Tue, 03 Nov 2026 09:00:%02d +0000\r\nMessage-ID: %s\r\n", n, id), text)
				sub.MessageID = id
				r.send(sub)
			}
			if r.box("Sent").Messages != 2 {
				t.Errorf("Sent has\n%s", r.lines("Sent"))
			}
		})
	}
}

// Also once the folder was deleted, where a client tells that it saves to \Sent by its use.
func TestWhatIsSavedAfterSentWasDeleted(t *testing.T) {
	r := newStore(t)
	must(t, r.DeleteMailbox(t.Context(), "Sent"))
	r.send(r.submission(1))
	if m := r.box("Sent"); m.SpecialUse != `\Sent` || !m.Subscribed {
		t.Fatalf("%+v", m)
	}
	r.save(letter(1))
	r.want("Sent", "1 \\Seen letter 1")
}

// TestWhatIsNotTheSameMailIsKept: in doubt a copy more.
func TestWhatIsNotTheSameMailIsKept(t *testing.T) {
	replaced := func(from, to string) string { return strings.Replace(letter(1), from, to, 1) }
	for what, other := range map[string]string{
		"another day":         replaced("3 Nov", "4 Nov"),
		"minutes later":       replaced("09:00:01", "09:05:02"),
		"dated anew, other":   strings.Replace(replaced(":00:01", ":00:02"), "dear", "PS: dear", 1),
		"dated anew, no id":   strings.Replace(replaced(":00:01", ":00:03"), "Message-ID:", "X-ID:", 1),
		"dated anew, to two":  strings.Replace(replaced(":00:01", ":00:03"), "To: eva", "To: bob@example.com, eva", 1),
		"to another":          replaced("To: eva", "To: bob"),
		"with a copy":         replaced("Bcc: secret", "Cc: bob"),
		"without a date":      replaced("Date:", "X-Date:"),
		"another subject":     strings.Replace(replaced("<l1@", "<m1@"), "Subject: letter 1", "Subject: letter B", 1),
		"dated anew, subject": strings.Replace(replaced(":00:01", ":00:03"), "Subject: letter 1", "Subject: letter B", 1),
		"another text, none":  strings.Replace(replaced("Message-ID:", "X-ID:"), "dear", "PS: dear", 1),
	} {
		t.Run(what+", before", func(t *testing.T) {
			r := newStore(t)
			r.save(other)
			r.send(r.submission(1))
			if r.box("Sent").Messages != 2 {
				t.Errorf("saved before, Sent has\n%s", r.lines("Sent"))
			}
		})
		t.Run(what+", after", func(t *testing.T) {
			r := newStore(t)
			r.send(r.submission(1))
			if done := r.save(other); done.Duplicate || r.box("Sent").Messages != 2 {
				t.Errorf("saved after, Sent has\n%s", r.lines("Sent"))
			}
			if r.gone() != "" {
				t.Errorf("expunged %q", r.gone())
			}
		})
	}
}

func TestEqualMailToOthersIsOtherMail(t *testing.T) {
	r := newStore(t)
	r.save(letter(1))
	r.send(r.submission(1, "eva@example.com"))
	r.send(r.submission(1, "bob@example.com"))
	r.want("Sent", "1  letter 1\n2 \\Seen letter 1")
}

// A program that gives all its mail one Message-ID loses nothing.
func TestOneMessageIDForAllMail(t *testing.T) {
	r := newStore(t)
	for n := 1; n <= 3; n++ {
		sub := r.submission(n)
		sub.Message.Discard()
		sub.Message, sub.MessageID = r.spool(strings.Replace(letter(n), "<l", "<l1@example.com> (", 1)), "<l1@example.com>"
		r.send(sub)
	}
	r.want("Sent", "1 \\Seen letter 1\n2 \\Seen letter 2\n3 \\Seen letter 3")
}

// Of several that are the same but for the Date, a copy is of the one with its Date.
func TestTheNearestDateIsTaken(t *testing.T) {
	r := newStore(t)
	again := func(n int) string { // letter 1 with another Date
		return "X-Program: 1\r\n" + strings.Replace(letter(1), ":00:01 ", fmt.Sprintf(":00:%02d ", n), 1)
	}
	for n := 1; n <= 2; n++ {
		sub := r.submission(1)
		sub.Message.Discard()
		sub.Message = r.spool(again(n))
		r.send(sub)
	}
	r.save(again(2) + "\r\n") // blank lines at the end count for nothing
	r.save(again(1) + "\r\n")
	p := r.view("Sent").Snapshot()
	if len(p.UIDs) != 2 || p.UIDs[0] != 3 {
		t.Errorf("Sent has\n%s", r.lines("Sent"))
	}
	equal(t, "the first copy", string(r.read(hashOf(again(2)+"\r\n"))), again(2)+"\r\n")
}

func TestACopyThatIsAboutToGoIsNone(t *testing.T) {
	r := newStore(t)
	r.save(letter(1), `\Deleted`)
	r.send(r.submission(1))
	if m := r.box("Sent"); m.Messages != 2 {
		t.Errorf("Sent %+v", m)
	}
	r.mark("Sent", 2, `\Deleted`)
	if done := r.save(letter(1)); done.Duplicate {
		t.Errorf("%+v", done)
	}
}

// listed is what a provider makes of letter n.
func listed(n int) string {
	return "Received: from [192.0.2.1] by smtp.example.com; Tue, 3 Nov 2026 09:00:00 +0000\r\nX-Provider: x\r\n" +
		strings.Replace(letter(n), "Bcc: secret@example.com\r\n", "", 1) + "\r\n"
}

// comes delivers what a POP server lists.
func (r *rig) comes(account, uidl, text string) Delivered {
	r.t.Helper()
	return r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: r.spool(text), ReceivedAt: r.clock.t, Origin: &Origin{Account: account, UIDL: uidl}, ListSize: int64(len(text))})[0]
}

func TestWhatTheProviderListsOfSentMailIsKnown(t *testing.T) {
	r := newStore(t)
	r.send(r.submission(1))
	for range 2 {
		if done := r.comes("home", "A", listed(1)); !done.Duplicate {
			t.Errorf("%+v", done)
		}
		r.want("INBOX", "")
		entries, err := r.Ledger(t.Context(), "home")
		must(t, err)
		if len(entries) != 1 || entries[0].Hash != hashOf(letter(1)) || entries[0].Wanted || entries[0].State != Stored || !entries[0].RemovedAt.IsZero() || entries[0].Size != int64(len(listed(1))) {
			t.Errorf("ledger %+v", entries)
		}
		r.lose(removeIndex)
	}
	// The ledger goes by the copy in Sent.
	r.expunge("Sent", 1)
	entries, err := r.Ledger(t.Context(), "home")
	must(t, err)
	if entries[0].RemovedAt.IsZero() {
		t.Errorf("ledger %+v", entries)
	}
}

func TestWhatIsInDoubtIsDelivered(t *testing.T) {
	toSelf, marked := func(s *Submission) { s.Recipients = append(s.Recipients, "Ann@Example.com") }, func(s *Submission) { s.ToSelf = true }
	for what, c := range map[string]struct {
		sub     func(*Submission)
		account string
		text    string
		expunge bool
	}{
		"to oneself":            {toSelf, "home", listed(1), false},
		"to another of one's":   {marked, "home", listed(1), false},
		"of another account":    {nil, "work", listed(1), false},
		"another body":          {nil, "home", listed(1) + "-- \r\nfooter\r\n", false},
		"of another subject":    {nil, "home", strings.Replace(listed(1), "letter 1", "letter B", 1), false},
		"from another":          {nil, "home", strings.Replace(listed(1), "Ann <", "Ann <m", 1), false},
		"of another time":       {nil, "home", strings.Replace(listed(1), "3 Nov 2026 09:00:01", "3 Nov 2026 09:00:02", 1), false},
		"that is not here":      {nil, "home", listed(1), true},
		"of what was not sent":  {nil, "home", listed(2), false},
		"without From and Date": {nil, "home", "\r\n" + letter(1), false},
	} {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			sub := r.submission(1)
			if c.sub != nil {
				c.sub(&sub)
			}
			r.send(sub)
			if c.expunge {
				r.expunge("Sent", 1)
			}
			if done := r.comes(c.account, "A", c.text); done.Duplicate {
				t.Errorf("%+v", done)
			}
			if m := r.box("INBOX"); m.Messages != 1 {
				t.Errorf("INBOX %+v", m)
			}
		})
	}
}

// What was sent to an alias of oneself of which popbridge does not know, or to a group or a
// forwarding that leads back, is mail: each of these fields alone says that it has arrived.
func TestWhatHasArrivedIsDelivered(t *testing.T) {
	for _, field := range []string{
		"Return-Path: <ann@example.com>", "Delivered-To: ann@example.com", "X-Delivered-To: ann@example.com",
		"X-MDaemon-Deliver-To: ann@example.com", "Delivery-date: Tue, 03 Nov 2026 09:00:05 +0000",
		"X-Original-To: ann@example.com", "envelope-to: ann@example.com", "X-Envelope-To: <ann@example.com>", "X-Apparently-To: ann@example.com",
		"Authentication-Results: example.com;\r\n dkim=pass", "X-Authentication-Results-Original: x", "Received-SPF: pass", "X-DKIM-Result: pass",
		"ARC-Seal: i=1", "ARC-Authentication-Results: i=1; example.com", "X-Received: by 192.0.2.2 with SMTP id 1",
		"X-MS-Exchange-Organization-AuthAs: Internal",
		"List-Id: <l.example.com>", "List-Post: <mailto:l@example.com>", "Mailing-List: l", "X-BeenThere: l@example.com",
		"Received: from smtp.example.com by mx.example.com; Tue, 3 Nov 2026 09:00:05 +0000",
	} {
		name, _, _ := strings.Cut(field, ":")
		t.Run(name, func(t *testing.T) {
			r := newStore(t)
			r.send(r.submission(1, "info@example.com"))
			if done := r.comes("home", "A", field+"\r\n"+listed(1)); done.Duplicate {
				t.Errorf("%+v", done)
			}
			r.want("INBOX", "1  letter 1")
		})
	}
}

// What Gmail lists of what it was handed has a Return-Path and the Received of that; what has
// arrived there has more.
func TestWhatGmailLists(t *testing.T) {
	const kept = "Return-Path: <ann@example.com>\r\nReceived: from [127.0.0.1] (host.example.com. [192.0.2.2])\r\n        by smtp.gmail.com with ESMTPSA id a1\r\n        for <eva@example.com>; Tue, 03 Nov 2026 01:00:01 -0800 (PST)\r\n"
	listing := strings.TrimPrefix(listed(1), listed(1)[:strings.Index(listed(1), "From:")])
	for before, duplicate := range map[string]bool{kept: true, "Delivered-To: ann@example.com\r\n" + kept: false,
		strings.Replace(kept, "ESMTPSA", "ESMTPS", 1): false, strings.Replace(kept, "smtp.gmail.com", "smtp.gmail.com.example.org", 1): false} {
		t.Run("", func(t *testing.T) {
			r := newStore(t)
			r.send(r.submission(1, "info@example.com"))
			if done := r.comes("home", "A", before+listing); done.Duplicate != duplicate {
				t.Errorf("%s: %+v", before, done)
			}
		})
	}
}

// A server whose ids are not trusted has its message compared before it is deleted, and
// it is not the copy in Sent: the next time it is delivered, and deleted as any other.
func TestWhatIsComparedBeforeItIsDeleted(t *testing.T) {
	r := newStore(t)
	r.send(r.submission(1))
	r.comes("home", "1", listed(1))
	must(t, r.UpdateLedger(t.Context(), "home", []LedgerEntry{{Origin: Origin{"home", "1", 0}, State: DeleteAcked}}))
	if done := r.comes("home", "1", listed(1)); done.Duplicate {
		t.Errorf("%+v", done)
	}
	entries, err := r.Ledger(t.Context(), "home")
	must(t, err)
	if entries[0].Hash != hashOf(listed(1)) || entries[0].State != Stored {
		t.Errorf("%+v", entries)
	}
}

func TestASentMessageIsForgotten(t *testing.T) {
	r := newStore(t)
	r.send(r.submission(1))
	held := r.submit(r.submission(2))
	r.clock.t = start.Add(rememberSent + time.Hour)
	must(t, r.Purge(t.Context()))
	if done := r.comes("home", "A", listed(1)); done.Duplicate {
		t.Errorf("%+v", done)
	}
	r.handover(held)
	r.lose(removeIndex)
	must(t, r.ConfirmOutgoing(t.Context(), held))
}
