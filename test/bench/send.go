package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

const (
	queued     = 1000 // as many as may wait
	submission = 40   // that are timed
	traced     = 20   // whose syncs are counted
)

// sendLab is a popbridge between a program that sends and a Postfix, which also takes
// mail by itself.
type sendLab struct {
	options
	*table
	dir     string
	dovecot *rig.Dovecot
	postfix *rig.Postfix
	p       *rig.Popbridge
}

// send measures the way out: a submission, a queue that leaves, and what it costs while
// nothing is sent. Beside it Postfix takes the same messages, and msmtp hands them over.
func send(ctx context.Context, o options, t *table, dir string) (err error) {
	l := &sendLab{options: o, table: t, dir: filepath.Join(dir, "send")}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		return err
	}
	if l.dovecot, err = rig.StartDovecot(ctx, "", "", rig.PostfixAuth); err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, l.dovecot.Stop()) }()
	if l.postfix, err = rig.StartPostfix(ctx, l.dovecot, []string{"ann", "bob"}, "smtpd_tls_security_level = none", "smtpd_tls_auth_only = no"); err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, l.postfix.Stop()) }()
	if err := l.counts(ctx); err != nil {
		return err
	}
	if err := l.leaves(ctx); err != nil {
		return err
	}
	return l.waits(ctx)
}

// popbridge starts one with an empty store.
func (l *sendLab) popbridge(ctx context.Context, sends bool) error {
	dir, err := os.MkdirTemp(l.dir, "popbridge-")
	if err != nil {
		return err
	}
	if l.p, err = rig.NewPopbridge(l.binary, dir); err != nil {
		return err
	}
	account := rig.Account{Name: "bench", Host: "127.0.0.1", Port: l.dovecot.POP3, TLS: "none", Username: "ann", Password: rig.Password, PollEvery: "24h", User: "ann",
		Address: "ann@example.org", SendHost: "127.0.0.1", SendPort: l.postfix.SMTP, SendTLS: "none"}
	if sends {
		err = l.p.ServeSMTP()
	}
	if err = errors.Join(err, l.p.Configure(account), l.p.AddDevice(ctx, "ann", "bench", devicePassword)); err != nil {
		return err
	}
	if err := l.p.Start(ctx); err != nil || !sends {
		return err
	}
	return rig.WaitPort(ctx, l.p.SMTP, nil)
}

// submitter is a connection over which messages are handed over.
type submitter struct {
	*smtp.Client
	n int
}

func newSubmitter(port int, password string) (*submitter, error) {
	c, err := smtp.Dial(rig.Addr(port))
	if err != nil {
		return nil, err
	}
	return &submitter{Client: c}, c.Auth(smtp.PlainAuth("", "ann", password, "127.0.0.1"))
}

// submit hands over a message; it returns when it wrote the final dot, and when it had
// the answer.
func (s *submitter) submit() (dot, answer time.Time, err error) {
	s.n++
	err = errors.Join(s.Mail("ann@example.org"), s.Rcpt("bob@example.org"))
	if err != nil {
		return dot, answer, err
	}
	to, err := s.Data()
	if err == nil {
		_, err = to.Write(fourKB(s.n))
	}
	if err != nil {
		return dot, answer, err
	}
	dot = time.Now()
	err = to.Close()
	return dot, time.Now(), err
}

// fourKB is a message of 4 KB, of which no two are the same.
func fourKB(n int) []byte {
	return fmt.Appendf(nil, "From: ann@example.org\r\nTo: bob@example.org\r\nSubject: %d\r\nDate: Mon, 2 Jun 2025 10:00:00 +0000\r\nMessage-ID: <%d.%d@example.org>\r\n\r\n%s",
		n, n, os.Getpid(), strings.Repeat(strings.Repeat("x", 70)+"\r\n", 56))
}

// counts has submissions answered while the provider cannot be reached, times them, and
// counts the syncs of the disk between the final dot and the answer; then the same by
// Postfix.
func (l *sendLab) counts(ctx context.Context) error {
	theirs, err := l.submissions(ctx, l.postfix.SMTP, rig.Password, l.postfix.PID)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	l.postfix.Halt()
	if err := l.popbridge(ctx, true); err != nil {
		return err
	}
	ours, err := l.submissions(ctx, l.p.SMTP, devicePassword, func() (int, error) { return l.p.PID(), nil })
	if err = errors.Join(err, l.p.Stop(), l.postfix.Resume(ctx)); err != nil {
		return err
	}
	l.beside(row{Group: "send, beside Postfix", Name: "answer to a submission"}, ours.took, theirs.took, 0)
	l.atMost(row{Group: "send, beside Postfix", Name: "syncs before the answer", Beside: theirs.before, Note: fmt.Sprintf("with those after it %.3g, %.3g", ours.all, theirs.all)},
		ours.before, "", 2)
	return nil
}

// submitted is what a submission took, and how many syncs of the disk there were.
type submitted struct {
	took        time.Duration
	before, all float64
}

func (l *sendLab) submissions(ctx context.Context, port int, password string, pid func() (int, error)) (s submitted, err error) {
	root, err := pid()
	if err != nil {
		return s, err
	}
	trace, err := startTrace(ctx, root, filepath.Join(l.dir, "strace"))
	if err != nil {
		return s, err
	}
	c, err := newSubmitter(port, password)
	if err != nil {
		return s, errors.Join(err, trace.stop())
	}
	defer c.Close()
	if _, _, err = c.submit(); err != nil { // makes the Outbox
		return s, errors.Join(err, trace.stop())
	}
	type window struct{ from, to time.Time }
	var windows []window
	for range traced {
		time.Sleep(200 * time.Millisecond) // what follows the one before is over
		dot, answer, err := c.submit()
		if err != nil {
			return s, errors.Join(err, trace.stop())
		}
		windows = append(windows, window{dot, answer})
	}
	time.Sleep(200 * time.Millisecond)
	if err := trace.stop(); err != nil {
		return s, err
	}
	syncs, err := trace.syncs()
	for _, at := range syncs {
		for _, w := range windows {
			if at.After(w.from) && at.Before(w.to) {
				s.before++
			}
		}
		if at.After(windows[0].from) {
			s.all++
		}
	}
	s.before, s.all = s.before/traced, s.all/traced
	var took []time.Duration
	for range submission {
		dot, answer, err := c.submit()
		if err != nil {
			return s, err
		}
		took = append(took, answer.Sub(dot))
	}
	s.took = median(took)
	return s, err
}

// leaves queues as much as may wait while the provider cannot be reached, and times how
// it leaves then; msmtp hands the same over, a message a process, as msmtpq does.
func (l *sendLab) leaves(ctx context.Context) error {
	if err := l.popbridge(ctx, true); err != nil {
		return err
	}
	defer l.p.Stop()
	l.postfix.Halt()
	time.Sleep(3 * time.Second)
	idle, err := memory(l.p.PID())
	if err = errors.Join(err, resetPeak(l.p.PID())); err != nil {
		return err
	}
	c, err := newSubmitter(l.p.SMTP, devicePassword)
	if err != nil {
		return err
	}
	defer c.Close()
	for range queued {
		if _, _, err := c.submit(); err != nil {
			return err
		}
	}
	had, err := l.dovecot.Count("bob")
	if err = errors.Join(err, l.postfix.Resume(ctx)); err != nil {
		return err
	}
	start := time.Now()
	if _, err := l.p.Run(ctx, "", "sync"); err != nil { // by which it knows that the provider is back
		return err
	}
	if err := l.delivered(ctx, had+queued); err != nil {
		return err
	}
	ours := time.Since(start)
	peak, err := memory(l.p.PID())
	if err != nil {
		return err
	}
	start = time.Now()
	if err := l.msmtp(ctx); err != nil {
		return err
	}
	if err := l.delivered(ctx, had+2*queued); err != nil {
		return err
	}
	l.beside(row{Messages: queued, Group: "queue, beside msmtp", Name: "leaves when the provider is back"}, ours, time.Since(start), 0.5)
	l.atMost(row{Messages: queued, Group: "queue, beside msmtp", Name: "peak above idle, with queueing", Note: fmt.Sprintf("%.3g MB in all", peak.peak/1e6)}, (peak.peak-idle.now)/1e6, "MB", 30)
	return nil
}

// delivered waits until Bob has so many messages.
func (l *sendLab) delivered(ctx context.Context, n int) error {
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		have, err := l.dovecot.Count("bob")
		if err != nil || have >= n {
			return err
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%d of %d messages have arrived: %s", have, n, l.p.Log())
		}
	}
}

func (l *sendLab) msmtp(ctx context.Context) error {
	conf := filepath.Join(l.dir, "msmtprc")
	text := fmt.Sprintf("account default\nhost 127.0.0.1\nport %d\nauth plain\nuser ann\npassword %s\nfrom ann@example.org\ntls off\n", l.postfix.SMTP, rig.Password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	for n := range queued {
		cmd := exec.CommandContext(ctx, "msmtp", "-C", conf, "bob@example.org")
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(string(fourKB(n)), "\r\n", "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("msmtp: %w: %s", err, out)
		}
	}
	return nil
}

// waits measures what it costs to be there for mail that nobody sends.
func (l *sendLab) waits(ctx context.Context) error {
	const wait = 30 * time.Second
	for _, sends := range []bool{false, true} {
		if err := l.popbridge(ctx, sends); err != nil {
			return err
		}
		time.Sleep(10 * time.Second) // the poll at the start is over
		before, err := cpu(l.p.PID())
		woken, err2 := wakeups(l.p.PID())
		time.Sleep(wait)
		after, err3 := cpu(l.p.PID())
		wokenAfter, err4 := wakeups(l.p.PID())
		u, err5 := memory(l.p.PID())
		if err := errors.Join(err, err2, err3, err4, err5, l.p.Stop()); err != nil {
			return err
		}
		name := map[bool]string{false: ", nobody can send", true: ", waiting for mail to send"}[sends]
		l.atMost(row{Group: "idle", Name: "processor" + name}, 100*(after-before).Seconds()/wait.Seconds(), "%", 0.1)
		l.atMost(row{Group: "idle", Name: "waits" + name}, (wokenAfter-woken)/wait.Seconds(), "/s", 0)
		l.atMost(row{Group: "idle", Name: "memory" + name}, u.now/1e6, "MB", 0)
	}
	return nil
}
