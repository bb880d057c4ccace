package test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// sending is a popbridge that sends by a provider who may do anything, and that dies
// again and again; mail programs hand letters over all the time.
type sending struct {
	t        *testing.T
	p        *rig.Popbridge
	provider *rig.SMTPServer
	rc       string // of the mail program
	cuts     int    // by the provider, when all was calm

	mu      sync.Mutex
	letters []*letter // by number
	unsure  []int     // letters of which their mail program was not told 250
}

// letter is a message that was handed over, or tried to.
type letter struct {
	to       []string
	answered bool // the mail program was told 250
	retried  bool // in doubt, a person has sent it again
	believed bool // in doubt, a person has said that it was sent
}

// newSending prepares all of it, and starts nothing. data is the data folder; "" for the
// usual one.
func newSending(t *testing.T, data string) *sending {
	t.Helper()
	rig.Need(t, "msmtp")
	binary, err := killable()
	must(t, err)
	s := &sending{t: t}
	s.provider, err = rig.StartSMTPServer(func() rig.Conduct { return rig.Conduct{} })
	must(t, err)
	t.Cleanup(func() { must(t, s.provider.Close()) })
	s.p, err = rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	if data != "" {
		s.p.Data = data
	}
	must(t, s.p.ServeSMTP())
	a := unused()
	a.Address, a.SendHost, a.SendPort, a.SendTLS = "ann@example.org", "127.0.0.1", s.provider.Port, "none"
	must(t, s.p.Configure(a))
	must(t, s.p.AddDevice(t.Context(), localUser, "test", devicePw))
	s.rc = filepath.Join(s.p.Dir, "msmtprc")
	must(t, os.WriteFile(s.rc, fmt.Appendf(nil, "account default\nhost 127.0.0.1\nport %d\nauth plain\nuser %s\npassword %s\nfrom ann@example.org\ntls off\n", s.p.SMTP, localUser, devicePw), 0o600))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(tail(s.p.Log()))
		}
		must(t, s.p.Kill())
	})
	return s
}

// launch starts the program, which dies at the failpoint; it may be "".
func (s *sending) launch(failpoint string) {
	s.t.Helper()
	s.p.Env = nil
	if failpoint != "" {
		s.p.Env = []string{"POPBRIDGE_FAILPOINT=" + failpoint}
	}
	must(s.t, s.p.Launch(context.WithoutCancel(s.t.Context())))
}

// start is launch without a failpoint; it waits until mail can be handed over.
func (s *sending) start() {
	s.t.Helper()
	s.launch("")
	if err := rig.WaitPort(s.t.Context(), s.p.SMTP, s.p.Done()); err != nil {
		s.t.Fatalf("the program does not serve: %v\n%s", err, s.p.Log())
	}
}

// dies waits until the program has come to its failpoint.
func (s *sending) dies() {
	s.t.Helper()
	select {
	case <-s.p.Done():
	case <-time.After(20 * time.Second):
		s.t.Fatal("never came to this point")
	}
	must(s.t, s.p.Kill())
}

// write makes a new letter, and returns its number.
func (s *sending) write(to ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = append(s.letters, &letter{to: to})
	return len(s.letters) - 1
}

// next is a new letter, or one that its mail program was not told 250 of: it may try
// again, or give up.
func (s *sending) next(random *rand.Rand) int {
	s.mu.Lock()
	if n := len(s.unsure); n > 0 && random.IntN(2) == 0 {
		defer s.mu.Unlock()
		first := s.unsure[0]
		s.unsure = s.unsure[1:]
		return first
	}
	s.mu.Unlock()
	return s.write([]string{"bob@example.org", "carol@example.org"}[:1+random.IntN(2)]...)
}

func (s *sending) refused(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure = append(s.unsure, n)
}

// backlog is the most that may wait: an account sends 30 messages in a minute.
const backlog = 15

// waits counts the letters that the provider does not have, or not for all.
func (s *sending) waits() (count int) {
	taken := s.taken()
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, l := range s.letters {
		if l.answered && len(taken[n]) < len(l.to) {
			count++
		}
	}
	return count
}

// hand has a mail program hand a letter over, and reports whether it was told 250.
func (s *sending) hand(n int) bool {
	s.mu.Lock()
	l := s.letters[n]
	s.mu.Unlock()
	c := exec.CommandContext(s.t.Context(), "msmtp", append([]string{"-C", s.rc, "--"}, l.to...)...)
	c.Stdin = bytes.NewReader(bytes.ReplaceAll(rig.Letter(n), []byte("\r\n"), []byte("\n")))
	if c.Run() != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.answered = true
	return true
}

// settle waits until all has left but what a person has to decide about, and returns that.
func (s *sending) settle() (doubts []rig.Outgoing) {
	s.t.Helper()
	eventually(s.t, "what waits leaves", func() (_ bool, err error) {
		doubts, err = s.p.Outbox(s.t.Context())
		for _, m := range doubts {
			if m.State != "unknown" {
				return false, fmt.Errorf("message %+v\n%s", m, tail(s.p.Log()))
			}
		}
		return err == nil, err
	})
	return doubts
}

// decide is a person who decides about all that is in doubt.
func (s *sending) decide(doubts []rig.Outgoing, again func() bool) {
	s.t.Helper()
	for _, m := range doubts {
		l, do := s.letters[s.numberOf(m)], "sent"
		if again() {
			l.retried, do = true, "retry"
		} else {
			l.believed = true
		}
		command(s.t, s.p, 0, "outbox", do, strconv.FormatInt(m.ID, 10))
	}
}

func (s *sending) numberOf(m rig.Outgoing) int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(m.Subject, "number "))
	must(s.t, err)
	return n
}

// identify returns the number of a message that must be a letter byte for byte.
func (s *sending) identify(where string, raw []byte) int {
	s.t.Helper()
	text, ok := rig.NumberOf(raw)
	n, err := strconv.Atoi(text)
	s.mu.Lock()
	written := len(s.letters)
	s.mu.Unlock()
	if !ok || err != nil || n >= written || !bytes.Equal(raw, rig.Letter(n)) {
		s.t.Errorf("%s: nobody has written %q", where, raw)
	}
	return n
}

// copies counts the letters in a mailbox, which need not be there.
func (s *sending) copies(mailbox string) map[int]int {
	s.t.Helper()
	c := login(s.t, s.p, nil)
	defer c.Close()
	if list, err := c.List("", mailbox, nil).Collect(); err != nil || len(list) == 0 {
		must(s.t, err)
		return nil
	}
	all, err := rig.ReadMailbox(rig.Addr(s.p.Port), localUser, devicePw, mailbox)
	must(s.t, err)
	found := map[int]int{}
	for _, m := range all {
		found[s.identify(mailbox, m.Raw)]++
	}
	return found
}

// taken counts how often the provider has taken each letter for each recipient.
func (s *sending) taken() map[int]map[string]int {
	s.t.Helper()
	found := map[int]map[string]int{}
	for _, received := range s.provider.Received() {
		n := s.identify("provider", received.Raw)
		if !received.Kept {
			continue
		}
		if found[n] == nil {
			found[n] = map[string]int{}
		}
		for _, to := range received.To {
			found[n][to]++
		}
	}
	return found
}

// notices checks what is in INBOX: of a letter that was in doubt Ann was told, once each
// time, and of nothing else.
func (s *sending) notices() {
	s.t.Helper()
	all, err := rig.ReadMailbox(rig.Addr(s.p.Port), localUser, devicePw, "INBOX")
	must(s.t, err)
	told := map[string]int{}
	for _, m := range all {
		subject := doubtOf.FindSubmatch(m.Raw)
		if subject == nil {
			s.t.Errorf("INBOX: nobody has written %q", m.Raw)
			continue
		}
		n, err := strconv.Atoi(string(subject[1]))
		must(s.t, err)
		if told[string(m.Raw)]++; told[string(m.Raw)] > 1 || n >= len(s.letters) {
			s.t.Errorf("Ann was told %d times of the doubt about letter %d", told[string(m.Raw)], n)
		}
	}
}

// doubtOf finds the number of the letter that a message of popbridge is about.
var doubtOf = regexp.MustCompile(`(?m)\AFrom: popbridge <mailer-daemon@popbridge\.invalid>\r\n(?:.*\r\n)*?Subject: Sent or not: number (\d+)\r\n`)

// verify compares what was handed over with what the provider has, what is in Sent and
// what is in the Outbox: doubts.
func (s *sending) verify(doubts []rig.Outgoing) {
	s.t.Helper()
	sent, waiting, taken := s.copies("Sent"), s.copies("Outbox"), s.taken()
	unknown := map[int]*rig.Outgoing{}
	for i := range doubts {
		unknown[s.numberOf(doubts[i])] = &doubts[i]
	}
	if len(unknown) != len(doubts) || len(waiting) != len(doubts) {
		s.t.Errorf("in doubt %+v, in the Outbox %v", doubts, waiting)
	}
	s.notices()
	for n, l := range s.letters {
		for _, fault := range l.wrong(sent[n], waiting[n], unknown[n], taken[n]) {
			s.t.Errorf("letter %d to %v: %s; taken %v, %d copies in Sent, in doubt: %+v", n, l.to, fault, taken[n], sent[n], unknown[n])
		}
	}
}

// wrong says what must not be.
func (l *letter) wrong(sent, waiting int, doubt *rig.Outgoing, taken map[string]int) (faults []string) {
	report := func(bad bool, text string) {
		if bad {
			faults = append(faults, text)
		}
	}
	total := 0
	for _, to := range l.to {
		total += taken[to]
		state := "sent"
		if doubt != nil {
			state = doubt.For(to)
		}
		report(taken[to] > 1 && !l.retried, to+" got it twice, and nobody has sent it again")
		report(state == "waiting" && taken[to] > 0, to+" got it, and is to get it again")
		report(state == "sent" && sent > 0 && taken[to] == 0 && !l.believed, to+" did not get it")
	}
	report(sent > 1 || waiting > 1, "twice in a mailbox")
	report((waiting > 0) != (doubt != nil), "the Outbox and its list differ")
	report(l.answered && sent == 0 && doubt == nil, "lost")
	report(sent == 0 && doubt == nil && total > 0, "it was sent, and there is no trace of it")
	report(doubt != nil && doubt.Error == "", "in doubt, and nobody is told why")
	return faults
}

// due makes what waits due now, also where the account rests: a provider that does not answer
// final dots is not tried for an hour.
func (s *sending) due() {
	s.t.Helper()
	changeIndex(s.t, s.p, "UPDATE outgoing SET not_before = ? WHERE state = 1", time.Now().Add(-time.Minute).Unix())
	changeIndex(s.t, s.p, "UPDATE sending SET memory = json_remove(memory, '$.pause') WHERE json_valid(memory)")
}
