package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
)

const (
	// largeSize is that of a message in base64, lines and header included.
	largeSize = 100 << 20
	largeMax  = 16 // MB
	attached  = 300 << 10
)

// attachment returns a message with an attachment of size octets, in base64.
func attachment(i, size int) []byte {
	data := make([]byte, size*3/4)
	rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(data)
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: a@example.com\r\nSubject: attachment %d\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain\r\n\r\nsee %s\r\n--b\r\nContent-Type: application/octet-stream\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n", i, rareWord(i))
	encoded := base64.StdEncoding.EncodeToString(data)
	for len(encoded) > 0 {
		k := min(76, len(encoded))
		b.WriteString(encoded[:k])
		b.WriteString("\r\n")
		encoded = encoded[k:]
	}
	b.WriteString("--b--\r\n")
	return b.Bytes()
}

// attachments measures the disk that mail with attachments takes.
func attachments(ctx context.Context, o options, t *table, dir string) (err error) {
	l, err := newLab(ctx, o, t, dir, 200, func(i int) []byte { return attachment(i, attached) })
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, l.close()) }()
	c, err := l.serve(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := l.indexed(c); err != nil {
		return err
	}
	l.disk("mail with attachments", 1.1)
	return nil
}

// large measures what one large message takes of memory on each of its ways.
func large(ctx context.Context, o options, t *table, dir string) (err error) {
	l, err := newLab(ctx, o, t, dir, 1, message)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, l.close()) }()
	c, err := l.serve(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	raw := attachment(0, largeSize)
	for _, way := range []struct {
		name string
		run  func() error
	}{
		{"POP", func() error {
			if err := l.d.Put("bench", raw); err != nil {
				return err
			}
			out, err := l.p.Run(ctx, "", "sync")
			if err == nil && out.Code != 0 {
				err = fmt.Errorf("sync: exit %d: %s", out.Code, out.Stderr)
			}
			return err
		}},
		{"FETCH", func() error {
			if _, err := c.command("NOOP", ""); err != nil {
				return err
			}
			n, err := c.command("UID FETCH 2 (BODY.PEEK[])", "")
			if err == nil && n < int64(len(raw)) {
				err = fmt.Errorf("%d octets of a message of %d were answered", n, len(raw))
			}
			return err
		}},
		{"APPEND", func() error {
			_, err := c.command(fmt.Sprintf("APPEND INBOX {%d}", len(raw)), string(raw))
			return err
		}},
	} {
		before, err := memory(l.p.PID())
		if err != nil {
			return err
		}
		if err := resetPeak(l.p.PID()); err != nil {
			return err
		}
		if err := way.run(); err != nil {
			return fmt.Errorf("large message, %s: %w", way.name, err)
		}
		after, err := memory(l.p.PID())
		if err != nil {
			return err
		}
		t.atMost(row{Group: "memory", Name: "a message of 100 MB through " + way.name}, (after.peak-before.now)/1e6, "MB", largeMax)
	}
	return nil
}
