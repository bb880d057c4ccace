package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/popbridge/popbridge/test/rig"
)

func fetchers(o options) []fetcher {
	return []fetcher{&ours{binary: o.binary}, mpop(), getmail(), fetchmail()}
}

// ours is popbridge, read over IMAP.
type ours struct {
	binary string
	p      *rig.Popbridge
}

func (*ours) name() string           { return "popbridge" }
func (*ours) finished(code int) bool { return code == 0 }
func (f *ours) version() string      { return versionOf(f.binary, "version") }

func (f *ours) prepare(ctx context.Context, dir string, port int, user string, keep bool) (err error) {
	if f.p, err = rig.NewPopbridge(f.binary, dir); err != nil {
		return err
	}
	a := benchAccount(port)
	a.Username, a.KeepOnServer = user, "never"
	if keep {
		a.KeepOnServer = "forever"
	}
	if err := f.p.Configure(a); err != nil {
		return err
	}
	return f.p.AddDevice(ctx, "bench", "bench", "bench-pass")
}

func (f *ours) command(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, f.binary, "sync", "--config", f.p.ConfigFile())
}

func (f *ours) delivered(ctx context.Context) ([][]byte, error) {
	if out, err := f.p.Run(ctx, "", "check"); err != nil || out.Code != 0 {
		return nil, fmt.Errorf("check: %s%s %w", out.Stdout, out.Stderr, err)
	}
	if err := f.p.Start(ctx); err != nil {
		return nil, err
	}
	all, err := rig.ReadMailbox(rig.Addr(f.p.Port), "bench", "bench-pass", "INBOX")
	if stopErr := f.p.Stop(); err == nil {
		err = stopErr
	}
	raw := make([][]byte, len(all))
	for i := range all {
		raw[i] = all[i].Raw
	}
	return raw, err
}

// toMaildir is a program that is told by a file to deliver into a Maildir.
type toMaildir struct {
	title  string
	needs  []string // programs
	config func(dir string, port int, account string, keep bool) string
	args   func(dir string) []string
	good   []int  // exit codes of runs that went through
	owner  string // of the Maildir; "" for whoever runs this
	dir    string
}

// give makes a folder another user's.
func give(dir, owner string) error {
	u, err := user.Lookup(owner)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

func (f *toMaildir) name() string { return f.title }

func (f *toMaildir) version() string {
	for _, program := range f.needs {
		if _, err := exec.LookPath(program); err != nil {
			return ""
		}
	}
	return versionOf(f.needs[0], "--version")
}

func (f *toMaildir) finished(code int) bool {
	for _, good := range f.good {
		if code == good {
			return true
		}
	}
	return false
}

func (f *toMaildir) prepare(_ context.Context, dir string, port int, user string, keep bool) error {
	f.dir = dir
	for _, sub := range []string{"Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
		if f.owner != "" {
			if err := give(filepath.Join(dir, sub), f.owner); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "rc"), []byte(f.config(dir, port, user, keep)), 0o600)
}

func (f *toMaildir) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, f.needs[0], f.args(f.dir)...)
	cmd.Env = append(os.Environ(), "HOME="+f.dir)
	return cmd
}

func (f *toMaildir) delivered(context.Context) ([][]byte, error) {
	files, err := filepath.Glob(filepath.Join(f.dir, "Maildir", "new", "*"))
	if err != nil {
		return nil, err
	}
	all := make([][]byte, len(files))
	for i, name := range files {
		if all[i], err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func onOff(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}

func mpop() fetcher {
	return &toMaildir{
		title: "mpop", needs: []string{"mpop"}, good: []int{0},
		config: func(dir string, port int, account string, keep bool) string {
			return fmt.Sprintf("account bench\nhost 127.0.0.1\nport %d\ntls off\nauth user\nuser %s\npassword %s\n"+
				"keep %s\nuidls_file %s/uidls\ndelivery maildir %s/Maildir\n",
				port, account, rig.Password, onOff(keep, "on", "off"), dir, dir)
		},
		args: func(dir string) []string { return []string{"--file=" + dir + "/rc", "--quiet", "bench"} },
	}
}

// getmail with what its manual calls for: what was seen is not fetched again.
// It refuses to deliver as root. The timeout is also how long it waits when it
// has missed the end of its own child, as version 6.18 does now and then.
func getmail() fetcher {
	owner, deliverAs := "", ""
	if os.Getuid() == 0 {
		owner, deliverAs = "nobody", "user = nobody\n"
	}
	return &toMaildir{
		title: "getmail6", needs: []string{"getmail"}, good: []int{0}, owner: owner,
		config: func(dir string, port int, account string, keep bool) string {
			return fmt.Sprintf("[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = %d\nusername = %s\npassword = %s\ntimeout = 10\n"+
				"[destination]\ntype = Maildir\npath = %s/Maildir/\n%s[options]\nread_all = false\ndelete = %s\nverbose = 0\n",
				port, account, rig.Password, dir, deliverAs, onOff(keep, "false", "true"))
		},
		args: func(dir string) []string { return []string{"--getmaildir", dir, "--rcfile", dir + "/rc"} },
	}
}

// fetchmail delivers through another program; safecat is the one made for
// Maildirs. expunge makes deletions final after every 50 messages, which its
// manual names as a defence against lines that drop.
func fetchmail() fetcher {
	return &toMaildir{
		title: "fetchmail", needs: []string{"fetchmail", "safecat"}, good: []int{0, 1}, // 1: no mail
		config: func(dir string, port int, account string, keep bool) string {
			return fmt.Sprintf("poll 127.0.0.1 protocol pop3 port %d uidl auth password\n"+
				" user \"%s\" password \"%s\" sslproto \"\" %s expunge 50 mda \"safecat %s/Maildir/tmp %s/Maildir/new\"\n",
				port, account, rig.Password, onOff(keep, "keep", "no keep"), dir, dir)
		},
		args: func(dir string) []string {
			return []string{"--fetchmailrc", dir + "/rc", "--idfile", dir + "/ids", "--pidfile", dir + "/pid", "--silent"}
		},
	}
}

var version = regexp.MustCompile(`\d+(\.\d+)+|\(devel\)`)

// versionOf is the first version in what a program says of itself.
func versionOf(program, arg string) string {
	out, err := exec.Command(program, arg).CombinedOutput()
	if err != nil {
		return "" // not there, or not what it seems
	}
	return version.FindString(string(out))
}
