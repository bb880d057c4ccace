package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
)

// leaving sends an expensive command as a client with a device, waits for its
// answer for a while, and leaves.
func leaving(open, command string) func(context.Context, *lab) (string, error) {
	return func(_ context.Context, l *lab) (string, error) {
		c, err := l.login("evil")
		if err != nil {
			return "", err
		}
		defer func() { _ = c.Close() }()
		if err := c.ok(open); err != nil {
			return "", err
		}
		return c.within(8*time.Second, command), nil
	}
}

// revoked is an expensive command whose device is revoked while it runs.
func revoked(ctx context.Context, l *lab) (string, error) {
	c, err := l.login("evil")
	if err != nil {
		return "", err
	}
	if err := c.ok("SELECT INBOX"); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "t SEARCH "+strings.Repeat("NOT TEXT zzzzzzzz ", 150)+"ALL\r\n"); err != nil {
		return "", err
	}
	time.Sleep(time.Second)
	if out, err := l.agent.Run(ctx, "", "device", "revoke", "evil"); err != nil || out.Code != 0 {
		return "", fmt.Errorf("device revoke: %s: %w", out.Stderr, err)
	}
	// Added again for the next attack.
	return "", l.agent.AddDevice(ctx, "ann", "evil", "evil-"+password)
}

// fill opens a session that may take long.
func (l *lab) fill(f func(c *client) error) error {
	c, err := l.login("good")
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Minute)) // an error shows at the write
	return f(c)
}

func oneLargeMessage(_ context.Context, l *lab) error {
	return l.fill(func(c *client) error {
		header := "From: a@example.com\r\nSubject: large\r\nContent-Type: text/plain; charset=iso-8859-1\r\n" +
			"Content-Transfer-Encoding: quoted-printable\r\n" + strings.Repeat("X-Line: y\r\n", 50000)
		return c.append(header + "\r\n" + strings.Repeat("some =E4 words of a long and dull text that goes on and on\r\n", 100000))
	})
}

func manyMailboxes(_ context.Context, l *lab) error {
	return l.fill(func(c *client) error {
		for i := range 4500 {
			if answer, err := c.ask(fmt.Sprintf("CREATE %s%d", strings.Repeat("a", 240), i)); err != nil {
				return err
			} else if !strings.HasPrefix(answer, "OK") && !strings.Contains(answer, "LIMIT") && !strings.Contains(answer, "EXISTS") {
				return fmt.Errorf("CREATE: %s", answer)
			}
		}
		return nil
	})
}

func largeSubjects(_ context.Context, l *lab) error {
	return l.fill(func(c *client) error {
		for i := range 600 {
			words := strings.Repeat("word ", 200)
			message := fmt.Sprintf("Subject: %d\r\n %s\r\n\r\nx\r\n", i, strings.Repeat(words+"\r\n ", 1040))
			if err := c.append(message); err != nil {
				return err
			}
		}
		return nil
	})
}

func manyParts(_ context.Context, l *lab) error {
	return l.fill(func(c *client) error {
		for i := range 40 {
			part := "--b\r\nContent-Type: text/plain; charset=utf-8; name=a\r\nContent-ID: <1>\r\n\r\nx\r\n"
			message := fmt.Sprintf("Subject: %d\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n%s--b--\r\n", i, strings.Repeat(part, 9990))
			if err := c.append(message); err != nil {
				return err
			}
		}
		return nil
	})
}

// absurdListing lets the account poll a server that lists absurd ids.
func absurdListing(ctx context.Context, l *lab) (string, error) {
	if err := l.configure(true); err != nil {
		return "", err
	}
	if err := l.agent.Signal(syscall.SIGHUP); err != nil {
		return "", err
	}
	note := "the listing did not end within two minutes"
	select {
	case note = <-l.pop.listed:
	case <-time.After(2 * time.Minute):
	}
	status, err := l.agent.Status(ctx)
	if err == nil && len(status.Accounts) > 0 && status.Accounts[0].LastError != "" {
		note += fmt.Sprintf("; %.120s", status.Accounts[0].LastError)
	}
	return note, err
}
