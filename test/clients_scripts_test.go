//go:build unix

package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// withTLS is filled over TLS.
func withTLS(t *testing.T, security string, n int) (*rig.Popbridge, [][]byte) {
	t.Helper()
	d := dovecot(t, nil)
	messages := make([][]byte, n)
	for i := range messages {
		messages[i] = testkit.Message(i)
	}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	return overTLS(t, security, d), messages
}

// overTLS runs an agent that has fetched what is there, with TLS as users have
// it.
func overTLS(t *testing.T, security string, d *rig.Dovecot) *rig.Popbridge {
	t.Helper()
	home := account(d, "home")
	home.Name = "ann@gmx.de" // an address whose SMTP server is in the table of providers
	p := prepare(t, home)
	p.TLS = security
	if err := p.Configure(home); err != nil {
		t.Fatal(err)
	}
	start(t, p)
	command(t, p, 0, "sync")
	return p
}

// clientFile is a file that client-setup writes, as it is. The password is where its
// first lines say, in this home folder.
func clientFile(t *testing.T, p *rig.Popbridge, home, name string) string {
	t.Helper()
	files := t.TempDir()
	command(t, p, 0, "client-setup", "--out", files)
	write(t, filepath.Join(home, ".popbridge-password"), devicePw+"\n")
	raw, err := os.ReadFile(filepath.Join(files, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestImaplibUsesEveryMethod(t *testing.T) {
	rig.Need(t, "dovecot", "python3")
	t.Parallel()
	p, _ := withTLS(t, "starttls", 3)
	script, err := filepath.Abs("testdata/every_imaplib_method.py")
	if err != nil {
		t.Fatal(err)
	}
	out := program(t, t.TempDir(), "python3", script, "127.0.0.1", fmt.Sprint(p.Port), localUser, devicePw, filepath.Join(p.Data, "tls", "ca.pem"))
	for _, must := range []string{"starttls", "authenticate", "append", "search with a charset", "uid move", "uid thread", "refused: getacl", "refused: proxyauth", "idle", "logout"} {
		if !strings.Contains(out, must) {
			t.Errorf("the script did not get to %q:\n%s", must, out)
		}
	}
	// What it left behind, to another client: three in Archive by copies and a
	// move, one by APPEND during IDLE.
	if got := len(state(t, p)["Archive"].messages); got != 5 {
		t.Errorf("Archive has %d messages, want 5", got)
	}
	command(t, p, 0, "check")
}

func TestGetmailFetchesEverythingOnce(t *testing.T) {
	rig.Need(t, "dovecot", "getmail")
	t.Parallel()
	p, messages := withTLS(t, "implicit", 100)
	dir, err := os.MkdirTemp("", "getmail-") // not below a folder that is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	mail, ca := filepath.Join(dir, "mail"), write(t, filepath.Join(dir, "ca.pem"), string(authority(t, p)))
	write(t, filepath.Join(dir, "getmailrc"), fmt.Sprintf(`[retriever]
type = SimpleIMAPSSLRetriever
server = 127.0.0.1
port = %d
username = %s
password = %s
mailboxes = ("INBOX",)
ca_certs = %s

[destination]
type = Maildir
path = %s/

[options]
read_all = false
delete = false
delivered_to = false
received = false
`, p.Port, localUser, devicePw, ca, mail))
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(mail, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "sitecustomize.py"), getmailWaits)
	// getmail rewrites the header, so the bodies are compared.
	text := func(raw []byte) string {
		_, body, _ := strings.Cut(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n\n")
		return body
	}
	for round := range 2 {
		out := asNobody(t, dir, "getmail", "--getmaildir", dir)
		if want := fmt.Sprintf("%d messages", []int{len(messages), 0}[round]); !strings.Contains(out, want) {
			t.Errorf("run %d said %q, want %s", round+1, out, want)
		}
		files := maildir(t, mail)
		got := make(map[string]string)
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got[messageID(t, raw)] = text(raw)
		}
		if len(files) != len(messages) || len(got) != len(messages) {
			t.Fatalf("after run %d there are %d files, %d different, want %d", round+1, len(files), len(got), len(messages))
		}
		for _, want := range messages {
			if got := got[messageID(t, want)]; got != text(want) {
				t.Errorf("after run %d a message is missing or different: %s", round+1, firstDifference([]byte(got), []byte(text(want))))
			}
		}
	}
}

// getmailWaits mends how getmail waits for the child that writes a message: it
// asks for SIGCHLD after the fork, and where the child was faster it waits a
// minute and then counts the message as not delivered.
const getmailWaits = `
import os
from getmailcore.baseclasses import ForkingBase
ForkingBase._prepare_child = lambda self: None
ForkingBase._wait_for_child = lambda self, pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
`

// asNobody runs a program in a folder that it owns: getmail never delivers as
// root.
func asNobody(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = append(os.Environ(), "HOME="+dir, "PYTHONPATH="+dir), dir
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Chown(path, nobody, nobody))
		}); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, tail(string(out)))
	}
	return string(out)
}

func TestCurlListsSearchesAppendsAndStores(t *testing.T) {
	rig.Need(t, "dovecot", "curl")
	t.Parallel()
	p, messages := withTLS(t, "starttls", 5)
	dir := t.TempDir()
	curl := func(path string, args ...string) string {
		t.Helper()
		return program(t, dir, "curl", append([]string{"--silent", "--show-error", "--ssl-reqd", "--cacert", filepath.Join(p.Data, "tls", "ca.pem"),
			"--user", localUser + ":" + devicePw, "imap://" + rig.Addr(p.Port) + path}, args...)...)
	}
	has := func(what, out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in %q", what, w, out)
			}
		}
	}
	has("list", curl("/"), `"/" INBOX`, `"/" "Archive"`, `\Sent`)
	has("fetch by number", curl("/INBOX;MAILINDEX=2"), string(messages[1]))
	has("fetch a section", curl("/INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)"), "Subject: ")
	has("search", curl("/INBOX?SUBJECT%20"+strings.Fields(subject(t, messages[3]))[0]), "* SEARCH", " 4")
	has("status", curl("/", "--request", "STATUS INBOX (MESSAGES)"), "MESSAGES 5")
	has("create", curl("/", "--request", `CREATE "From curl"`))
	raw := small(1)
	curl("/From%20curl", "--upload-file", write(t, filepath.Join(dir, "message.eml"), string(raw)))
	has("store", curl("/INBOX", "--request", `UID STORE 2 +FLAGS (\Flagged)`), `\Flagged`)
	curl("/INBOX", "--request", `UID STORE 3 +FLAGS (\Deleted)`)
	curl("/INBOX", "--request", "EXPUNGE")

	in := flagsOf(t, p, "INBOX")
	if flags := in[sum(messages[1])]; !slices.Contains(flags, imap.FlagFlagged) {
		t.Errorf("flags after curl's STORE: %v", flags)
	}
	if _, there := in[sum(messages[2])]; there || len(in) != 4 {
		t.Errorf("after curl's EXPUNGE there are %d messages", len(in))
	}
	if got := fetchAll(t, p, "From curl"); len(got) != 1 || string(got[0].body) != string(raw) {
		t.Errorf("curl's APPEND left %d messages", len(got))
	}
}
