// Package rig runs real programs for tests and benchmarks: a Dovecot as POP3
// and IMAP server over Maildirs, the popbridge binary, a slow network link, and
// two deliberately simple protocol clients that share no code with the program.
//
// It returns errors instead of taking a testing.T, because test/bench uses it
// too. Whoever starts something stops it.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/popbridge/popbridge/internal/testkit/ports"
)

// Password opens every mailbox of a rig's Dovecot, whatever the user name.
const Password = "pw"

// Dovecot is a running server with configuration, mail and logs of its own.
type Dovecot struct {
	Dir      string
	POP3     int // plain, and STLS where a certificate was given
	POP3S    int // implicit TLS; 0 without a certificate
	IMAP     int
	CertFile string
	KeyFile  string

	cmd  *exec.Cmd
	done chan struct{}
	next map[string]int
	mail *user.User // owns the mail; nil: whoever runs the rig
}

// StartDovecot starts a server on free loopback ports. certFile and keyFile may
// be empty; settings are added to the configuration. Dovecot never handles mail
// as root, so where the rig is root the mail belongs to an unprivileged user.
func StartDovecot(ctx context.Context, certFile, keyFile string, settings ...string) (*Dovecot, error) {
	binary, err := exec.LookPath("dovecot")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/dovecot"); err != nil {
			return nil, fmt.Errorf("dovecot is not installed: %w", err)
		}
	}
	// Not a folder inside a private one: Dovecot's own users must reach it. And
	// short, because it holds unix sockets.
	dir, err := os.MkdirTemp("", "dovecot-")
	if err != nil {
		return nil, err
	}
	d := &Dovecot{Dir: dir, next: make(map[string]int), done: make(chan struct{})}
	if err := d.configure(certFile, keyFile, settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	d.cmd = exec.CommandContext(ctx, binary, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	d.cmd.WaitDelay = 5 * time.Second
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() { _ = d.cmd.Wait(); close(d.done) }()
	if err := WaitPort(ctx, d.POP3, d.done); err != nil {
		return nil, errors.Join(fmt.Errorf("dovecot did not answer: %w: %s", err, d.Log()), d.Stop())
	}
	return d, nil
}

func (d *Dovecot) configure(certFile, keyFile string, settings []string) error {
	if err := os.Chmod(d.Dir, 0o755); err != nil {
		return err
	}
	owner, err := user.Current()
	if err != nil {
		return err
	}
	if owner.Uid == "0" {
		if owner, err = unprivileged(); err != nil {
			return err
		}
		d.mail = owner
	}
	ports, err := ports.Free(3)
	if err != nil {
		return err
	}
	d.POP3, d.IMAP = ports[0], ports[1]
	if certFile != "" {
		d.POP3S, d.CertFile, d.KeyFile = ports[2], certFile, keyFile
	}
	if err := d.mkdir(filepath.Join(d.Dir, "mail")); err != nil {
		return err
	}
	group, err := user.LookupGroupId(owner.Gid)
	if err != nil {
		return err
	}
	var conf strings.Builder
	if err := dovecotConf.Execute(&conf, struct {
		*Dovecot
		User, Group, Password string
	}{d, owner.Username, group.Name, Password}); err != nil {
		return err
	}
	conf.WriteString(strings.Join(settings, "\n"))
	return os.WriteFile(filepath.Join(d.Dir, "dovecot.conf"), []byte(conf.String()), 0o644)
}

// unprivileged finds a user that is not root and owns nothing.
func unprivileged() (*user.User, error) {
	for _, name := range []string{"vmail", "dovecot", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u, nil
		}
	}
	return nil, errors.New("no unprivileged user for the mail: none of vmail, dovecot, nobody exists")
}

// dovecotConf is for Dovecot 2.3. Failed logins are answered at once, so that
// tests of wrong passwords don't wait. The id of a message is its file name, so
// that Renumber can give it another.
var dovecotConf = template.Must(template.New("dovecot.conf").Parse(`
protocols = imap pop3
listen = 127.0.0.1
base_dir = {{.Dir}}/run
default_vsz_limit = 4G
state_dir = {{.Dir}}/state
log_path = {{.Dir}}/dovecot.log
{{if .CertFile}}ssl = yes
ssl_cert = <{{.CertFile}}
ssl_key = <{{.KeyFile}}
{{else}}ssl = no
{{end}}disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
default_internal_user = {{.User}}
default_login_user = {{.User}}
default_internal_group = {{.Group}}
mail_uid = {{.User}}
mail_gid = {{.Group}}
first_valid_uid = 1
mail_location = maildir:{{.Dir}}/mail/%u/Maildir
mail_max_userip_connections = 1000
pop3_lock_session = no
pop3_uidl_format = %f
service imap-login {
  chroot =
  inet_listener imap {
    port = {{.IMAP}}
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = {{.POP3}}
  }
  inet_listener pop3s {
    port = {{.POP3S}}
    {{if .POP3S}}ssl = yes{{end}}
  }
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
passdb {
  driver = static
  args = password={{.Password}}
}
userdb {
  driver = static
  args = uid={{.User}} gid={{.Group}} home={{.Dir}}/mail/%u
}
`))

// Maildir is the folder of a user's inbox.
func (d *Dovecot) Maildir(name string) string {
	return filepath.Join(d.Dir, "mail", name, "Maildir")
}

// Put adds messages to a user's inbox, in this order, exactly as they are.
func (d *Dovecot) Put(name string, messages ...[]byte) error {
	inbox := d.Maildir(name)
	for _, dir := range []string{filepath.Dir(inbox), inbox, inbox + "/cur", inbox + "/new", inbox + "/tmp"} {
		if err := d.mkdir(dir); err != nil {
			return err
		}
	}
	for _, raw := range messages {
		base := d.base(name)
		tmp := filepath.Join(inbox, "tmp", base)
		if err := os.WriteFile(tmp, raw, 0o600); err != nil {
			return err
		}
		if err := d.own(tmp); err != nil {
			return err
		}
		if err := os.Rename(tmp, filepath.Join(inbox, "new", base)); err != nil {
			return err
		}
	}
	return nil
}

// base is the file name of the next message: Dovecot numbers messages by the
// time and sequence in it.
func (d *Dovecot) base(name string) string {
	d.next[name]++
	return fmt.Sprintf("%d.M%dP1.rig", 1_750_000_000+d.next[name], d.next[name])
}

// Renumber gives every message of an inbox another id, in the same order, as it
// happens when a provider moves its mail to other machines. The ids are the
// file names and nothing else, so a session that is just ending brings none of
// the former ones back; it may move a file to cur meanwhile.
func (d *Dovecot) Renumber(name string) error {
	last := d.next[name]
	for {
		files, err := filepath.Glob(filepath.Join(d.Maildir(name), "[cn]*", "*.rig*"))
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f string) bool { return number(f) > last })
		if len(files) == 0 {
			return nil
		}
		slices.SortFunc(files, func(a, b string) int { return number(a) - number(b) })
		for _, f := range files {
			_, flags, _ := strings.Cut(filepath.Base(f), ".rig")
			if err := os.Rename(f, filepath.Join(filepath.Dir(f), d.base(name)+flags)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
}

// number is the sequence in the file name of a message.
func number(file string) (n int) {
	_, _ = fmt.Sscanf(filepath.Base(file), "%d.", &n)
	return n - 1_750_000_000
}

// Count is the number of messages in a user's inbox on disk.
func (d *Dovecot) Count(name string) (int, error) {
	n := 0
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(d.Maildir(name), sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		n += len(entries)
	}
	return n, nil
}

// Stop ends the server and removes its folder.
func (d *Dovecot) Stop() error {
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(10 * time.Second):
			_ = d.cmd.Process.Kill()
			<-d.done
		}
	}
	return os.RemoveAll(d.Dir)
}

// Log is what the server wrote so far, for messages of failing tests.
func (d *Dovecot) Log() string {
	raw, err := os.ReadFile(filepath.Join(d.Dir, "dovecot.log"))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func (d *Dovecot) mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.own(path)
}

func (d *Dovecot) own(path string) error {
	if d.mail == nil {
		return nil
	}
	uid, err := strconv.Atoi(d.mail.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(d.mail.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}
