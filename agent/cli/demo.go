package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/logging"
	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/samplemail"
)

func (a *app) newDemoCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Try everything on a temporary folder with sample mail",
		Long: "Run the whole agent on a temporary data folder against a built-in POP3 server\n" +
			"with sample mail, print how to connect a mail program, and let new mail trickle in.\n" +
			"Ctrl-C ends it and removes the folder. Nothing leaves this machine.",
		Example: "  popbridge demo\n  popbridge demo --once",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			err := a.demo(c.Context(), once)
			if once { // it has to come to its end
				return err
			}
			return stopped(c.Context(), err)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "fetch, read everything back over IMAP, print a summary and end")
	return c
}

const (
	demoName     = "demo" // account, user, device and both passwords: there is nothing to protect
	demoPort     = "127.0.0.1:1143"
	trickleEvery = 5 * time.Second
)

// demonstration is the agent and its POP3 server under way.
type demonstration struct {
	dir   string
	pop   *popserver.Server
	want  [][]byte // what it has at the start
	agent *agent.Agent
	addr  string // of the IMAP server
}

func (a *app) demo(ctx context.Context, once bool) error {
	d, err := newDemonstration()
	if err != nil {
		return err
	}
	defer d.remove()
	return d.serve(ctx, a, func(ctx context.Context) error {
		if once {
			return d.once(ctx, a)
		}
		return d.trickle(ctx, a, trickleEvery)
	})
}

func newDemonstration() (*demonstration, error) {
	dir, err := os.MkdirTemp("", "popbridge-demo-")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the temporary folder cannot be created", "look at TMPDIR, or TEMP on Windows")
	}
	d := &demonstration{dir: dir, pop: popserver.New(popserver.Options{User: demoName, Password: demoName}), want: samplemail.All(time.Now())}
	for _, m := range d.want {
		d.pop.Add(m)
	}
	return d, nil
}

func (d *demonstration) remove() { _ = os.RemoveAll(d.dir) } // what is left is among the temporary files

// serve runs the POP3 server and the agent around work.
func (d *demonstration) serve(ctx context.Context, a *app, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	popDone, agentDone := make(chan error, 1), make(chan error, 1)
	wg.Go(func() { popDone <- d.pop.Serve(ctx, ln) })

	cfg, err := d.config(ln.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return err
	}
	ready, records := make(chan string, 1), logging.NewRing()
	log, level := logging.NewAdjustable(io.Discard, cfg.Log.Level, cfg.Log.Format, records, logging.Warnings(a.direct)) // the page shows all
	d.agent, err = agent.Open(ctx, cfg, agent.Options{Log: log, Records: records, SetLevel: level.Set, StateDir: d.dir,
		Ready: func(addrs []string) { ready <- addrs[0] }})
	if err != nil {
		return err
	}
	if _, err := d.agent.Operations().AddDevice(ctx, operations.AddDevice{User: demoName, Name: demoName, Password: demoName}); err != nil {
		return errors.Join(err, d.agent.Close())
	}
	wg.Go(func() { agentDone <- d.agent.Run(ctx) })
	select {
	case d.addr = <-ready:
	case err := <-agentDone:
		return err
	}
	workErr := work(ctx)
	cancel()
	return errors.Join(workErr, <-agentDone, <-popDone)
}

// config writes a config file, so that other commands can be tried on the demo
// while it runs. There is no TLS: a first try shall not begin with a question
// about a certificate, and what is read is sample mail on this machine.
func (d *demonstration) config(popPort int) (*config.Config, error) {
	listen := demoPort
	if ln, err := net.Listen("tcp", demoPort); err != nil {
		listen = "127.0.0.1:0"
	} else if err := ln.Close(); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`version = 1
data_dir = "data"
[imap]
listen = [%q]
tls = "off"
[web]
listen = "127.0.0.1:0"
[[account]]
name = %q
host = "127.0.0.1"
port = %d
tls = "none"
username = %[2]q
password_file = "password"
user = %[2]q
`, listen, demoName, popPort)
	path := filepath.Join(d.dir, "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "password"), []byte(demoName), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path)
}

// fetch polls and waits.
func (d *demonstration) fetch(ctx context.Context) (operations.SyncResult, error) {
	results, err := d.agent.Operations().Sync(ctx, nil, nil)
	switch {
	case err != nil:
		return operations.SyncResult{}, err
	case results[0].Error != "":
		return results[0], fault.New(fault.Internal, results[0].Error, results[0].Hint)
	}
	return results[0], nil
}

// trickle says how to connect, and lets mail arrive until ctx ends.
func (d *demonstration) trickle(ctx context.Context, a *app, every time.Duration) error {
	first, err := d.fetch(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	page := "it is not served"
	if address, err := d.agent.Operations().OpenWeb(ctx, operations.OpenWeb{UID: browserUser()}); err == nil {
		page = address.URL
	}
	host, port, _ := net.SplitHostPort(d.addr)
	a.printf("The demo has fetched %d sample messages. Connect a mail program by IMAP with\n\n"+
		"  server      %s\n  port        %s\n  security    none (the demo has no TLS, so that no certificate is asked about)\n"+
		"  user        %s\n  password    %s\n\n"+
		"or in a terminal\n\n  neomutt -n -F /dev/null -e 'set ssl_force_tls=no imap_pass=%s folder=imap://%s@%s/ spoolfile=+INBOX'\n\n"+
		"Look at its page in a browser (the address works once, within a minute):\n\n  %s\n\n"+
		"See how it is doing, and try the other commands:\n\n  %s status --config %s\n\n"+
		"A message arrives every %v. Ctrl-C ends the demo and removes its folder.\n\n",
		first.Stored, host, port, demoName, demoName, demoName, demoName, d.addr, page, program(), filepath.Join(d.dir, "config.toml"), every)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			a.printf("\nThe demo is over; its folder is removed.\n")
			return nil
		case <-tick.C:
		}
		m := samplemail.Next(n, time.Now())
		d.pop.Add(m)
		if _, err := d.fetch(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		a.printf("%s  new mail: %s\n", time.Now().Format(time.TimeOnly), subjectOf(m))
	}
}

// program is how this program is called again in the same shell.
func program() string {
	own, err := os.Executable()
	if err != nil {
		return "popbridge"
	}
	if installer.MadeByGoRun(own) {
		return "go run ./cmd/popbridge"
	}
	if found, err := exec.LookPath("popbridge"); err == nil {
		a, errA := os.Stat(own)
		b, errB := os.Stat(found)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return "popbridge"
		}
	}
	if strings.Contains(own, " ") {
		own = `"` + own + `"`
	}
	return own
}

// once goes the whole way: everything the POP3 server has must be in INBOX, in
// order, byte for byte.
func (d *demonstration) once(ctx context.Context, a *app) error {
	started := time.Now()
	if _, err := d.fetch(ctx); err != nil {
		return err
	}
	boxes, err := readBack(ctx, d.addr, demoName, demoName)
	if err != nil {
		return fmt.Errorf("read the mail back: %w", err)
	}
	var got [][]byte
	for _, b := range boxes {
		got = append(got, b.messages...)
	}
	size, err := compare(d.want, got)
	if err != nil {
		return err
	}
	a.printf("%d messages, %d bytes, went from a POP3 server to a mail program byte for byte\n"+
		"%d folders, %s\n", len(got), size, len(boxes), time.Since(started).Round(time.Millisecond))
	return nil
}

func compare(want, got [][]byte) (size int64, err error) {
	if len(want) != len(got) {
		return 0, fault.New(fault.Internal, fmt.Sprintf("%d messages came back of %d", len(got), len(want)), "")
	}
	for i := range want {
		if !bytes.Equal(want[i], got[i]) {
			return 0, fault.New(fault.Internal, fmt.Sprintf("message %d came back changed: %d bytes of %d", i+1, len(got[i]), len(want[i])), "")
		}
		size += int64(len(want[i]))
	}
	return size, nil
}

// subjectOf returns the subject of a message, as far as it can be read.
func subjectOf(raw []byte) string {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "(no subject)"
	}
	coded := m.Header.Get("Subject")
	if subject, err := new(mime.WordDecoder).DecodeHeader(coded); err == nil {
		return subject
	}
	return coded
}
