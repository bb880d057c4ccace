package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nullmailer is the package of that name. It uses fixed paths, and cannot be installed
// beside another program that brings sendmail: so it is unpacked, and laid over the file
// system of this machine in a mount namespace, where it runs in a root of its own. What it
// writes is in dir.
type nullmailer struct {
	pack
	dir    string
	holder *exec.Cmd // keeps the namespace
	hold   io.Closer // its input, at whose end it ends
	done   chan struct{}
}

func (*nullmailer) name() string { return "nullmailer" }

// layers mounts the overlay, says that it is there, and keeps it until its input ends.
const layers = `mount -t overlay overlay -o "lowerdir=$1/package:/,upperdir=$1/upper,workdir=$1/work" "$1/root" && mount --rbind /dev "$1/root/dev" && echo mounted && exec cat`

// ground is what the maintainer scripts of the package make, and its configuration: a try
// each second, without end.
const ground = `set -e
cd "$1"
mkdir -p package upper/etc/nullmailer upper/var/spool/nullmailer/queue upper/var/spool/nullmailer/tmp upper/var/spool/nullmailer/failed work root
dpkg -x nullmailer_*.deb package
if [ -d package/lib ]; then # or it would hide that /lib is a link
	cp -a package/lib package/usr/ && rm -r package/lib
fi
mkfifo upper/var/spool/nullmailer/trigger
chmod 622 upper/var/spool/nullmailer/trigger
cd upper/etc/nullmailer
echo "127.0.0.1 smtp port=$2" >remotes
echo 1 >pausetime
echo 1 >maxpause
echo 10 >sendtimeout
echo example.org >../mailname
chown -R mail:root ../../var/spool/nullmailer .
chmod 755 "$1" "$1/upper" "$1/root"
`

func (m *nullmailer) prepare(ctx context.Context, dir string, port int) (version string, err error) {
	m.dir = dir
	download := exec.CommandContext(ctx, "apt-get", "download", "-q", "nullmailer")
	download.Dir = dir
	if os.Geteuid() != 0 || download.Run() != nil {
		return "", nil
	}
	debs, err := filepath.Glob(filepath.Join(dir, "nullmailer_*.deb"))
	if err != nil || len(debs) == 0 {
		return "", err
	}
	text, err := exec.CommandContext(ctx, "dpkg-deb", "-f", debs[0], "Version").Output()
	if err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "sh", "-c", ground, "sh", dir, fmt.Sprint(port)).CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpacking: %w: %s", err, out)
	}
	m.holder = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", layers, "sh", dir)
	m.holder.Stderr = os.Stderr
	in, err := m.holder.StdinPipe()
	if err != nil {
		return "", err
	}
	out, err := m.holder.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := m.holder.Start(); err != nil {
		return "", err
	}
	m.hold = in
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return "", fmt.Errorf("no overlay: %w", err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(text)), "1:"), nil
}

// inside is a command in the root of its own, as the user that Debian runs it as.
func (m *nullmailer) inside(ctx context.Context, words ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{fmt.Sprintf("--mount=/proc/%d/ns/mnt", m.holder.Process.Pid),
		"chroot", "--userspec=mail:mail", filepath.Join(m.dir, "root")}, words...)...)
}

func (m *nullmailer) start(ctx context.Context) error {
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		_ = m.run(m.inside(context.WithoutCancel(ctx), "/usr/sbin/nullmailer-send")) // it is killed
	}()
	return nil
}

func (m *nullmailer) hand(ctx context.Context, n int) bool {
	c := m.inside(ctx, "/usr/bin/nullmailer-inject", "-f", "ann@example.org", "bob@example.org")
	c.Stdin = unixLetter(n)
	return m.run(c) == nil
}

func (m *nullmailer) kill() error {
	for {
		m.pack.kill()
		select {
		case <-m.done:
			return nil
		default: // it was about to begin
		}
	}
}

func (m *nullmailer) left(context.Context) (waiting int, doubts []int, err error) {
	files, err := os.ReadDir(filepath.Join(m.dir, "upper", "var", "spool", "nullmailer", "queue"))
	return len(files), nil, err
}

func (m *nullmailer) close() error {
	if m.done != nil {
		if err := m.kill(); err != nil {
			return err
		}
	}
	if m.hold == nil {
		return nil
	}
	if err := m.hold.Close(); err != nil {
		return err
	}
	return m.holder.Wait()
}
