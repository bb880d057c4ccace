package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A wayOut is a popbridge between mail programs and a provider: a Dovecot for POP3 and
// passwords, a Postfix for SMTP. Ann and Bob are there.
type wayOut struct {
	*rig.Popbridge
	dovecot *rig.Dovecot
	postfix *rig.Postfix
	account rig.Account
	ca      *testkit.TLS
}

// security is that of both of its servers.
func newWayOut(t *testing.T, security string) *wayOut {
	rig.Need(t, "dovecot", "postfix")
	rig.NeedRoot(t)
	w := &wayOut{ca: testkit.CA(t)}
	var err error
	w.dovecot, err = rig.StartDovecot(context.WithoutCancel(t.Context()), w.ca.CertFile, w.ca.KeyFile, rig.PostfixAuth)
	must(t, err)
	t.Cleanup(func() { must(t, w.dovecot.Stop()) })
	w.postfix, err = rig.StartPostfix(context.WithoutCancel(t.Context()), w.dovecot, []string{"ann", "bob", "carol"})
	must(t, err)
	t.Cleanup(func() { must(t, w.postfix.Stop()) })
	w.Popbridge, err = rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	w.TLS = security
	must(t, w.ServeSMTP())
	w.account = rig.Account{Name: "home", Host: "127.0.0.1", Port: w.dovecot.POP3S, TLS: "implicit", CAFile: w.ca.CAFile, Username: "ann", Password: rig.Password, User: localUser,
		PollEvery: "1h", Address: "ann@example.org", SendHost: "127.0.0.1", SendPort: w.postfix.SMTPS, SendTLS: "implicit"}
	w.Web = "127.0.0.1:0"
	must(t, w.Configure(w.account))
	must(t, w.AddDevice(t.Context(), localUser, "desktop", devicePw))
	must(t, w.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		if err := w.Stop(); err != nil || t.Failed() {
			t.Errorf("%v\n%s\n%s", err, w.Log(), w.postfix.Log())
		}
	})
	must(t, rig.WaitPort(t.Context(), w.SMTP, nil))
	return w
}

// arrives waits for the n-th message of Bob and compares its body.
func (w *wayOut) arrives(t *testing.T, n int, subject string, body []byte) []byte {
	t.Helper()
	mail, err := rig.WaitMail(t.Context(), w.dovecot, "bob", n)
	if err != nil {
		out, _ := w.Run(t.Context(), "", "outbox", "list")
		t.Fatalf("%s: %v\n%s%s", subject, err, out.Stdout, out.Stderr)
	}
	for _, m := range mail {
		head, got, _ := bytes.Cut(m, []byte("\r\n\r\n"))
		head = append(head, "\r\n"...)
		if !bytes.Contains(head, []byte("\r\nSubject: "+subject+"\r\n")) {
			continue
		}
		if body != nil && !bytes.Equal(got, body) {
			t.Errorf("%s: the body is %q, not %q", subject, got, body)
		}
		for _, field := range []string{"\r\nDate: ", "\r\nMessage-ID: "} {
			if n := bytes.Count(bytes.ToLower(append([]byte("\r\n"), head...)), bytes.ToLower([]byte(field))); n != 1 {
				t.Errorf("%s: %d of %q in %q", subject, n, field, head)
			}
		}
		if bytes.Contains(bytes.ToLower(head), []byte("\nbcc:")) {
			t.Errorf("%s: Bcc has left: %q", subject, head)
		}
		return m
	}
	t.Fatalf("%s is not among the %d messages of Bob", subject, len(mail))
	return nil
}

// sent waits until the outbox is empty, and counts the copies in Sent.
func (w *wayOut) sent(t *testing.T, want int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, err := w.Run(t.Context(), "", "outbox", "list")
		must(t, err)
		if out.Stdout == "everything was sent\n" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not everything was sent:\n%s%s", out.Stdout, out.Stderr)
		}
	}
	if n := w.count(t, "Sent"); n != want {
		t.Errorf("%d messages in Sent, want %d", n, want)
	}
	if n := w.count(t, "Outbox"); n != 0 {
		t.Errorf("%d messages in Outbox", n)
	}
}

func (w *wayOut) count(t *testing.T, mailbox string) int {
	t.Helper()
	c := login(t, w.Popbridge, nil)
	box, err := c.Select(mailbox, nil).Wait()
	must(t, err)
	return int(box.NumMessages)
}

// Programs that people send with hand their mail over here, and it arrives at a real
// server as it was.
func TestProgramsSend(t *testing.T) {
	rig.Need(t, "curl", "swaks", "msmtp", "python3", "git")
	t.Parallel()
	w := newWayOut(t, "off")
	body := "Grüße,\r\n.\r\n..two\r\nFrom here\r\n \r\n\r\n"
	message := func(subject string) string {
		return "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nBcc: carol@example.org\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
	}
	run := func(stdin string, words ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, words[0], words[1:]...)
		c.Env = append(os.Environ(), "HOME="+w.Dir)
		c.Stdin = strings.NewReader(stdin)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", words[0], err, out)
		}
	}
	port := fmt.Sprint(w.SMTP)
	run(message("curl"), "curl", "-sS", "--url", "smtp://127.0.0.1:"+port, "-u", localUser+":"+devicePw, "--mail-from", "ann@example.org", "--mail-rcpt", "bob@example.org", "--mail-rcpt", "carol@example.org", "-T", "-")
	w.arrives(t, 1, "curl", []byte(body))

	run("", "swaks", "--server", "127.0.0.1", "--port", port, "--auth", "LOGIN", "--auth-user", localUser, "--auth-password", devicePw,
		"--from", "ann@example.org", "--to", "bob@example.org", "--header", "Subject: swaks", "--body", "one\ntwo")
	w.arrives(t, 2, "swaks", nil)

	conf := filepath.Join(w.Dir, "msmtprc")
	must(t, os.WriteFile(conf, []byte("account default\nhost 127.0.0.1\nport "+port+"\nauth plain\nuser ann\npassword "+devicePw+"\nfrom ann@example.org\ntls off\n"), 0o600))
	run(strings.ReplaceAll(message("msmtp"), "\r\n", "\n"), "msmtp", "-C", conf, "bob@example.org")
	w.arrives(t, 3, "msmtp", []byte(body))

	run("", "python3", "-c", `
import smtplib, sys
s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
s.login("ann", sys.argv[2])
s.ehlo()
assert s.has_extn("dsn") # as Postfix has it
s.sendmail("ann@example.org", ["bob@example.org"], "From: ann@example.org\nTo: bob@example.org\nSubject: smtplib\n\nhello\n", ["RET=HDRS"], ["NOTIFY=FAILURE"])
s.quit()`, port, devicePw)
	w.arrives(t, 4, "smtplib", []byte("hello\r\n"))

	// A program that writes no Date saves its own copy without one, before or after, and hands
	// the same bytes over again where it has not understood that they were taken.
	const saves = `
import email.message, imaplib, smtplib, sys, time
m = email.message.EmailMessage()
m["From"], m["To"], m["Subject"] = "ann@example.org", "bob@example.org", sys.argv[4]
if sys.argv[5] != "":
    m["Message-ID"] = sys.argv[5]
m.set_content("hello")
def save():
    i = imaplib.IMAP4("127.0.0.1", int(sys.argv[2]))
    i.login("ann", sys.argv[3])
    assert i.append("Sent", r"(\Seen)", None, m.as_bytes())[0] == "OK"
    i.logout()
def send():
    s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
    s.login("ann", sys.argv[3])
    s.send_message(m)
    s.quit()
if "before" in sys.argv[4]:
    save()
send()
if sys.argv[5] != "":
    time.sleep(1.1)
    send()
if "after" in sys.argv[4]:
    time.sleep(3)
    save()`
	n := 4
	for _, subject := range []string{"saved before", "saved after"} {
		for _, id := range []string{"", "<own-" + subject[6:] + "@example.org>"} {
			n++
			name := fmt.Sprintf("%s %d", subject, n)
			run("", "python3", "-c", saves, port, fmt.Sprint(w.Port), devicePw, name, id)
			w.arrives(t, n, name, []byte("hello\r\n"))
		}
	}
	w.sent(t, n)
	if mail, err := rig.WaitMail(t.Context(), w.dovecot, "bob", n); err != nil || len(mail) != n {
		t.Errorf("Bob has %d messages, want %d: %v", len(mail), n, err)
	}

	repo := t.TempDir()
	must(t, os.WriteFile(filepath.Join(repo, "a"), []byte("a\n"), 0o600))
	for _, words := range [][]string{{"init", "-q"}, {"config", "user.email", "ann@example.org"}, {"config", "user.name", "Ann"}, {"add", "."}, {"commit", "-q", "-m", "git"}} {
		run("", append([]string{"git", "-C", repo}, words...)...)
	}
	run("", "git", "-C", repo, "-c", "sendemail.smtpServer=127.0.0.1", "-c", "sendemail.smtpServerPort="+port, "-c", "sendemail.smtpUser="+localUser, "-c", "sendemail.smtpPass="+devicePw,
		"send-email", "--quiet", "--confirm=never", "--from=ann@example.org", "--to=bob@example.org", "--root", "-1")
	w.arrives(t, n+1, "[PATCH] git", nil)
	w.sent(t, n+1)
	// Who is nobody here sends nothing, and is told what is allowed.
	eve := exec.CommandContext(t.Context(), "swaks", "--server", "127.0.0.1", "--port", port, "--auth", "PLAIN", "--auth-user", localUser, "--auth-password", devicePw,
		"--from", "eve@example.org", "--to", "bob@example.org", "--header", "From: eve@example.org")
	if out, err := eve.CombinedOutput(); err == nil || !strings.Contains(string(out), "550 5.7.1") || !strings.Contains(string(out), "ann@example.org") {
		t.Errorf("Eve: %v: %s", err, out)
	}
}

// What is sent while the provider cannot be reached waits, in sight, over a kill, and
// leaves once when it is back; on the web page a message is taken back.
func TestSendsOffline(t *testing.T) {
	rig.Need(t, "chromium")
	t.Parallel()
	w := newWayOut(t, "off")
	w.postfix.Halt()
	for _, subject := range []string{"first", "second"} {
		w.hand(t, subject)
	}
	must(t, w.Kill())
	must(t, w.Start(context.WithoutCancel(t.Context())))
	must(t, rig.WaitPort(t.Context(), w.SMTP, nil))
	if n := w.count(t, "Outbox"); n != 2 {
		t.Errorf("%d messages in Outbox, want 2", n)
	}
	b, origin := webPage(t, w.Popbridge)
	b.click("Mail that waits to be sent")
	b.shows("2 messages wait.")
	b.shot("outbox")
	b.click("Do not send: second")
	b.shows("One message waits.")
	w.hand(t, "third")
	b.shows("2 messages wait.")
	must(t, w.postfix.Resume(context.WithoutCancel(t.Context())))
	b.click("Send all now")
	b.shows("Everything was sent.")
	b.quiet(origin)
	w.arrives(t, 2, "first", nil)
	w.arrives(t, 2, "third", nil)
	w.sent(t, 2)
}

// hand hands a message over.
func (w *wayOut) hand(t *testing.T, subject string) {
	t.Helper()
	w.handOver(t, fmt.Sprintf("From: ann@example.org\r\nTo: bob@example.org\r\nSubject: %s\r\n\r\nhello\r\n", subject))
}

func (w *wayOut) handOver(t *testing.T, message string) {
	t.Helper()
	c, err := smtp.Dial(rig.Addr(w.SMTP))
	must(t, err)
	if w.TLS == "starttls" {
		must(t, c.StartTLS(trusting(t, w.Popbridge)))
	}
	must(t, c.Auth(smtp.PlainAuth("", localUser, devicePw, "127.0.0.1")))
	must(t, c.Mail("ann@example.org"))
	must(t, c.Rcpt("bob@example.org"))
	to, err := c.Data()
	must(t, err)
	_, err = io.WriteString(to, message)
	must(t, err)
	must(t, to.Close())
	must(t, c.Quit())
}
