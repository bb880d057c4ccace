package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/popbridge/popbridge/internal/testkit/ports"
)

// Postfix is a mail server that takes submission from users of a Dovecot, with their
// password, and delivers into their mailboxes there.
type Postfix struct {
	Dir   string
	SMTP  int // plain and STARTTLS, login required
	SMTPS int // implicit TLS

	done chan struct{}
	cmd  *exec.Cmd
}

// StartPostfix starts a server for these users of a Dovecot that has a certificate and
// was started with PostfixAuth. Their addresses are at example.org. It has to be root.
// settings are added to main.cf.
func StartPostfix(ctx context.Context, d *Dovecot, users []string, settings ...string) (*Postfix, error) {
	if _, err := os.Stat("/usr/sbin/postfix"); err != nil {
		return nil, fmt.Errorf("postfix is not installed: %w", err)
	}
	dir, err := os.MkdirTemp("", "postfix-")
	if err != nil {
		return nil, err
	}
	p := &Postfix{Dir: dir}
	if err := p.configure(d, users, settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.Resume(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Resume starts the server, at first or after Halt.
func (p *Postfix) Resume(ctx context.Context) error {
	p.done = make(chan struct{})
	p.cmd = exec.CommandContext(ctx, "/usr/sbin/postfix", "-c", filepath.Join(p.Dir, "etc"), "start-fg")
	p.cmd.Cancel = func() error { return p.command("stop") }
	if err := p.cmd.Start(); err != nil {
		return err
	}
	cmd, done := p.cmd, p.done
	go func() { _ = cmd.Wait(); close(done) }()
	if err := WaitPort(ctx, p.SMTPS, done); err != nil {
		return fmt.Errorf("postfix did not answer: %w: %s", err, p.Log())
	}
	return nil
}

// Halt ends the server. What it has taken stays.
func (p *Postfix) Halt() {
	_ = p.command("stop") // which may have ended by itself
	if p.cmd.Process != nil {
		<-p.done
	}
}

// PostfixAuth is a setting of StartDovecot for StartPostfix.
const PostfixAuth = `
service auth {
  unix_listener auth-smtp {
    mode = 0666
  }
}
`

func (p *Postfix) configure(d *Dovecot, users, settings []string) error {
	ports, err := ports.Free(2)
	if err != nil {
		return err
	}
	p.SMTP, p.SMTPS = ports[0], ports[1]
	owner := d.mail
	if owner == nil {
		if owner, err = user.Current(); err != nil {
			return err
		}
	}
	etc := filepath.Join(p.Dir, "etc")
	for _, sub := range []string{"", "etc", "queue", "data"} {
		if err := os.MkdirAll(filepath.Join(p.Dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chmod(p.Dir, 0o755), exec.Command("chown", "postfix", filepath.Join(p.Dir, "data")).Run()); err != nil {
		return err
	}
	var boxes strings.Builder
	for _, u := range users {
		if err := d.Put(u); err != nil { // makes the mailbox
			return err
		}
		fmt.Fprintf(&boxes, "%s@example.org %s/Maildir/\n", u, u)
	}
	var conf strings.Builder
	if err := postfixMain.Execute(&conf, map[string]any{"Dir": p.Dir, "Mail": filepath.Join(d.Dir, "mail"), "UID": owner.Uid, "GID": owner.Gid,
		"Auth": filepath.Join(d.Dir, "run", "auth-smtp"), "Cert": d.CertFile, "Key": d.KeyFile}); err != nil {
		return err
	}
	conf.WriteString(strings.Join(settings, "\n") + "\n")
	master := fmt.Sprintf(postfixMaster, p.SMTP, p.SMTPS)
	return errors.Join(os.WriteFile(filepath.Join(etc, "boxes"), []byte(boxes.String()), 0o644),
		os.WriteFile(filepath.Join(etc, "main.cf"), []byte(conf.String()), 0o644), os.WriteFile(filepath.Join(etc, "master.cf"), []byte(master), 0o644))
}

var postfixMain = template.Must(template.New("main.cf").Parse(`compatibility_level = 3.6
queue_directory = {{.Dir}}/queue
data_directory = {{.Dir}}/data
maillog_file_prefixes = {{.Dir}}
maillog_file = {{.Dir}}/log
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
import_environment = MAIL_CONFIG TZ LANG=C
virtual_mailbox_domains = example.org
virtual_mailbox_base = {{.Mail}}
virtual_mailbox_maps = texthash:{{.Dir}}/etc/boxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{{.UID}}
virtual_gid_maps = static:{{.GID}}
default_transport = error:no mail leaves the tests
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {{.Auth}}
smtpd_tls_cert_file = {{.Cert}}
smtpd_tls_key_file = {{.Key}}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = reject_unlisted_recipient, permit_sasl_authenticated, reject
smtpd_client_connection_rate_limit = 0
message_size_limit = 50000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
`))

const postfixMaster = `127.0.0.1:%d inet n - n - - smtpd
127.0.0.1:%d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

func (p *Postfix) command(verb string) error {
	return exec.Command("/usr/sbin/postfix", "-c", filepath.Join(p.Dir, "etc"), verb).Run()
}

// Stop ends the server and removes its folder.
func (p *Postfix) Stop() error {
	p.Halt()
	return os.RemoveAll(p.Dir)
}

// PID is the process that starts all others of the server.
func (p *Postfix) PID() (int, error) {
	raw, err := os.ReadFile(filepath.Join(p.Dir, "queue", "pid", "master.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}

// Log is what the server wrote so far, for messages of failing tests.
func (p *Postfix) Log() string {
	raw, err := os.ReadFile(filepath.Join(p.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// WaitMail waits until a user of a Dovecot has so many messages, and returns them.
func WaitMail(ctx context.Context, d *Dovecot, name string, n int) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		have, err := d.Count(name)
		if err != nil {
			return nil, err
		}
		if have >= n {
			return Retrieve(Addr(d.POP3), name)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has %d messages, not %d", name, have, n)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
