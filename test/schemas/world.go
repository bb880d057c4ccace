package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

const (
	device   = "a-password-of-a-mail-program"
	password = "secret"
)

// world is a program with its POP3 servers, which have the same mail under the same
// ids each time.
type world struct {
	pop     *rig.Popbridge
	servers map[string]*popserver.Server
	end     func()
}

// accounts say who polls what: the mail of work is deleted on its server.
var accounts = []struct{ name, user, keep string }{{"home", "ann", "forever"}, {"work", "ann", "never"}, {"bob", "bob", "forever"}}

func newWorld(ctx context.Context, program, dir string) (*world, error) {
	pop, err := rig.NewPopbridge(program, dir)
	if err != nil {
		return nil, err
	}
	w := &world{pop: pop, servers: map[string]*popserver.Server{}}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	w.end = func() { cancel(); wg.Wait() }
	// As the first version reads it.
	config := fmt.Sprintf("version = 1\ndata_dir = %q\n[imap]\nlisten = [%q]\ntls = \"off\"\n", pop.Data, rig.Addr(pop.Port))
	for _, a := range accounts {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.end()
			return nil, err
		}
		server := popserver.New(popserver.Options{User: a.name, Password: password})
		w.servers[a.name] = server
		wg.Go(func() { _ = server.Serve(ctx, ln) })
		config += fmt.Sprintf("[[account]]\nname = %q\nhost = \"127.0.0.1\"\nport = %d\ntls = \"none\"\nusername = %[1]q\npassword_file = \"password\"\npoll_every = \"1h\"\nkeep_on_server = %[3]q\nuser = %[4]q\n",
			a.name, ln.Addr().(*net.TCPAddr).Port, a.keep, a.user)
	}
	err = errors.Join(os.WriteFile(pop.ConfigFile(), []byte(config), 0o600), os.WriteFile(dir+"/password", []byte(password+"\n"), 0o600))
	if err != nil {
		w.end()
	}
	return w, err
}

// mail are messages of many kinds.
func mail() [][]byte {
	all := [][]byte{
		[]byte("From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\r\nSubject: Gr\xfc\xdfe, in Latin-1\r\nX-Raw: \xff\xfe\r\n\r\nb\xe4h\r\n"),
		[]byte("From: z@example.org\r\nSubject: 日本語, not encoded\r\n\r\n.a line with a dot\r\n"),
		[]byte("no header at all\r\n"),
		[]byte("Subject: large\r\n\r\n" + strings.Repeat("0123456789012345678901234567890123456789012345678901234567890123456789\r\n", 4000)),
		[]byte("\r\n"),
	}
	all = append(all, all[0], all[0]) // the same once more, in another account as well
	for i := range 12 {
		all = append(all, testkit.Message(i+6)) // 9 has an attachment
	}
	return all
}

// deliver brings mail to the servers of these accounts: what they begin with, or what
// comes later.
func (w *world) deliver(later bool, names ...string) {
	for i, m := range mail() {
		if name := []string{"home", "home", "home", "work", "bob"}[i%5]; !later && slices.Contains(names, name) {
			w.servers[name].Add(m)
		}
	}
	for i, a := range accounts {
		if later && slices.Contains(names, a.name) {
			w.servers[a.name].Add(testkit.Message(40 + i))
		}
	}
}

func (w *world) start(ctx context.Context) error {
	for _, user := range []string{"ann", "bob"} {
		if err := w.pop.AddDevice(ctx, user, "laptop", device); err != nil {
			return err
		}
	}
	if err := w.pop.Start(ctx); err != nil {
		return err
	}
	return w.sync(ctx)
}

func (w *world) sync(ctx context.Context) error {
	out, err := w.pop.Run(ctx, "", "sync")
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("sync: exit code %d: %s%s", out.Code, out.Stdout, out.Stderr)
	}
	return err
}

func (w *world) stop() {
	_ = w.pop.Kill()
	w.end()
}

// shown is what each user sees by IMAP: folders with their UIDVALIDITY and UIDNEXT,
// and of each message UID, flags, date, size and hash.
func (w *world) shown() (lines []string, err error) {
	for _, user := range []string{"ann", "bob"} {
		c, err := dial(rig.Addr(w.pop.Port), user, device)
		if err != nil {
			return nil, err
		}
		of, err := c.shown()
		if err = errors.Join(err, c.Close()); err != nil {
			return nil, err
		}
		for _, line := range of {
			lines = append(lines, user+" "+line)
		}
	}
	return lines, nil
}

func hash(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
