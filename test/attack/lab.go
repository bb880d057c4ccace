package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

const (
	password = "attack-password-1"
	patience = 30 * time.Second // of the well-behaved client
)

// lab is the agent under attack. Its users are ann, whose device good is the
// well-behaved one and evil the attacker's, and bob, whose POP server lists
// absurd ids.
type lab struct {
	agent *rig.Popbridge
	addr  string
	pop   *listing
}

func newLab(ctx context.Context, binary, dir string) (*lab, error) {
	agent, err := rig.NewPopbridge(binary, dir)
	if err != nil {
		return nil, err
	}
	l := &lab{agent: agent, addr: rig.Addr(agent.Port), pop: newListing()}
	if err := l.configure(false); err != nil {
		return nil, err
	}
	for _, device := range []string{"good", "evil"} {
		if err := agent.AddDevice(ctx, "ann", device, device+"-"+password); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// configure writes the config; polls says whether the account polls at start.
func (l *lab) configure(polls bool) error {
	port := 1 // refuses connections
	if polls {
		port = l.pop.port()
	}
	return l.agent.Configure(rig.Account{Name: "ann", Host: "127.0.0.1", Port: port, TLS: "none",
		Username: "ann", Password: password, PollEvery: "1h", User: "ann"})
}

// with runs f while the agent runs.
func (l *lab) with(ctx context.Context, f func() error) error {
	if err := l.agent.Start(ctx); err != nil {
		return err
	}
	err := f()
	if err != nil {
		return errors.Join(err, l.agent.Kill())
	}
	if err := l.agent.Stop(); err != nil {
		fmt.Println("  the agent did not stop well:", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	return nil
}

// probe is a well-behaved client: it logs in and opens INBOX, and tries again
// where it is refused or dropped.
func (l *lab) probe() (took time.Duration, err error) {
	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		var c *client
		if c, err = l.login("good"); err == nil {
			err = c.ok("SELECT INBOX")
			_ = c.Close()
		}
		if took = time.Since(start); err == nil || took > patience {
			return took, err
		}
	}
}

// client is a connection of one who may send anything.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (l *lab) dial() (*client, error) {
	conn, err := net.DialTimeout("tcp", l.addr, patience)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 64<<10)}, conn.SetDeadline(time.Now().Add(patience))
}

func (l *lab) login(device string) (*client, error) {
	c, err := l.dial()
	if err != nil {
		return nil, err
	}
	if _, err = c.r.ReadString('\n'); err == nil {
		err = c.ok("LOGIN ann " + device + "-" + password)
	}
	if err != nil {
		_ = c.Close()
	}
	return c, err
}

// ok sends a command and wants OK.
func (c *client) ok(command string) error {
	answer, err := c.ask(command)
	if err == nil && !strings.HasPrefix(answer, "OK") {
		err = fmt.Errorf("%.40s: %s", command, answer)
	}
	return err
}

// ask sends a command and returns its tagged answer.
func (c *client) ask(command string) (string, error) {
	if _, err := io.WriteString(c, "t "+command+"\r\n"); err != nil {
		return "", err
	}
	return c.answer()
}

func (c *client) answer() (string, error) {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if text, ok := strings.CutPrefix(string(line), "t "); ok {
			return strings.TrimSpace(text), nil
		}
		if strings.HasPrefix(string(line), "* BYE") {
			return strings.TrimSpace(string(line)), nil
		}
	}
}

// within waits at most d for the answer to a command, and says what came of it.
func (c *client) within(d time.Duration, command string) string {
	start := time.Now()
	_ = c.SetDeadline(start.Add(d)) // an error shows at the write
	answer, err := c.ask(command)
	if err != nil {
		return fmt.Sprintf("no answer in %.0f s", time.Since(start).Seconds())
	}
	return fmt.Sprintf("%.50s after %.1f s", answer, time.Since(start).Seconds())
}

// append stores a message in INBOX.
func (c *client) append(message string) error {
	if _, err := fmt.Fprintf(c, "t APPEND INBOX {%d}\r\n", len(message)); err != nil {
		return err
	}
	if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+") {
		return fmt.Errorf("APPEND: %q: %w", line, err)
	}
	_ = c.SetDeadline(time.Now().Add(patience)) // an error shows at the write
	if _, err := io.WriteString(c, message+"\r\n"); err != nil {
		return err
	}
	answer, err := c.answer()
	if err == nil && !strings.HasPrefix(answer, "OK") {
		err = fmt.Errorf("APPEND: %s", answer)
	}
	return err
}
