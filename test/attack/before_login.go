package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var attacks = []attack{
	{name: "50 connections of LIST ({4096}) before login", play: literals(50, "", `LIST "" (`)},
	{name: "200 connections of LIST ({4096}) before login", play: literals(200, "", `LIST "" (`)},
	{name: "50 connections of SEARCH ({4096}) after login", play: literals(50, "evil", "SEARCH TEXT ")},
	{name: "50 silent connections, then a login", play: silent},
	{name: "guessing at a known user", play: guess("ann"), only: true},
	{name: "guessing at an unknown user", play: guess("xyz"), only: true},
	{name: "150 NOT TEXT on one message, client leaves", prepare: oneLargeMessage, leaves: true,
		play: leaving("SELECT INBOX", "SEARCH "+strings.Repeat("NOT TEXT zzzzzzzz ", 150)+"ALL")},
	{name: "150 NOT TEXT, pipelined, client leaves", leaves: true,
		play: leaving("SELECT INBOX", "SEARCH "+strings.Repeat("NOT TEXT zzzzzzzz ", 150)+"ALL\r\nt NOOP")},
	{name: "150 NOT TEXT on one message, device revoked", leaves: true, play: revoked},
	{name: "8,000 header names", leaves: true,
		play: leaving("SELECT INBOX", "FETCH 1:* BODY.PEEK[HEADER.FIELDS ("+many(8000, "X%d")+")]")},
	{name: "8,000 header names left out", leaves: true,
		play: leaving("SELECT INBOX", "FETCH 1:* BODY.PEEK[HEADER.FIELDS.NOT ("+many(8000, "X%d")+")]")},
	{name: "1,100 sections", leaves: true,
		play: leaving("SELECT INBOX", "FETCH 1:* ("+many(1100, "BINARY.PEEK[1]<%d.1>")+")")},
	{name: "LIST with 20 patterns over 4,500 mailboxes", prepare: manyMailboxes, leaves: true,
		play: leaving("NOOP", `LIST "" (`+strings.Repeat(`"`+strings.Repeat("*a%a", 450)+`" `, 19)+`"*")`)},
	{name: "LIST with 2,000 octets over 4,500 mailboxes", leaves: true,
		play: leaving("NOOP", `LIST "" "`+strings.Repeat("*a%a", 499)+`"`)},
	{name: "200 sections", leaves: true,
		play: leaving("SELECT INBOX", "FETCH 1:* ("+many(200, "BINARY.PEEK[1]<%d.1>")+")")},
	{name: "500 header names left out", leaves: true,
		play: leaving("SELECT INBOX", "FETCH 1:* BODY.PEEK[HEADER.FIELDS.NOT ("+many(500, "X%d")+")]")},
	{name: "FETCH 1:* ENVELOPE of 600 subjects of 1 MB", prepare: largeSubjects, leaves: true,
		play: leaving("SELECT INBOX", "FETCH 1:* ENVELOPE")},
	{name: "FETCH 1:* BODYSTRUCTURE of 40 times 10,000 parts", prepare: manyParts, leaves: true,
		play: leaving("SELECT INBOX", "FETCH 1:* BODYSTRUCTURE")},
	{name: "UIDL listing of 2^20 ids of 500 octets", play: absurdListing},
}

// many returns text with %d as 1 to n, separated by spaces.
func many(n int, text string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, text, i+1)
	}
	return b.String()
}

// each runs f for n connections at the same time.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() { errs[i] = f(i) })
	}
	work.Wait()
	return errors.Join(errs...)
}

// literals fills n connections with a command that has literals without end,
// and keeps them open for a while.
func literals(n int, device, begin string) func(context.Context, *lab) (string, error) {
	return func(_ context.Context, l *lab) (string, error) {
		var taken atomic.Int64
		err := each(n, func(int) error {
			c, err := l.dial()
			if device != "" && err == nil {
				_ = c.Close()
				if c, err = l.login(device); err == nil {
					err = c.ok("SELECT INBOX")
				}
			} else if err == nil {
				_, _ = c.r.ReadString('\n') // the greeting, or BYE
			}
			if err != nil {
				return nil // a refusal is an answer
			}
			defer func() { _ = c.Close() }()
			text := strings.Repeat("x", 4096)
			if _, err := io.WriteString(c, "t "+begin); err != nil {
				return nil
			}
			for range 5000 {
				next := "{4096+}\r\n" + text + " "
				if device != "" {
					next += "TEXT "
				}
				if _, err := io.WriteString(c, next); err != nil {
					break
				}
				taken.Add(4096)
			}
			time.Sleep(5 * time.Second)
			return nil
		})
		return fmt.Sprintf("%d MB of literals were taken", taken.Load()>>20), err
	}
}

// silent takes as many connections as may be without a login.
func silent(_ context.Context, l *lab) (string, error) {
	for range 50 {
		c, err := l.dial()
		if err != nil {
			return "", err
		}
		defer func() { _ = c.Close() }()
		if _, err := c.r.ReadString('\n'); err != nil { // the greeting: it is counted
			return "", err
		}
	}
	took, err := l.probe()
	if err != nil {
		return "the login failed: " + err.Error(), nil
	}
	return fmt.Sprintf("the login took %.1f s", took.Seconds()), nil
}

// guess tries passwords over many connections, each of which is used once.
func guess(user string) func(context.Context, *lab) (string, error) {
	return func(_ context.Context, l *lab) (string, error) {
		const connections, lasting = 40, 10 * time.Second
		var guesses, waited atomic.Int64
		start := time.Now()
		before := l.processor()
		err := each(connections, func(i int) error {
			for k := 0; time.Since(start) < lasting; k++ {
				c, err := l.dial()
				if err != nil {
					return err
				}
				_, _ = c.r.ReadString('\n') // the greeting, or BYE
				asked := time.Now()
				if answer, err := c.ask(fmt.Sprintf("LOGIN %s guess-%d-%d", user, i, k)); err == nil && strings.HasPrefix(answer, "NO") {
					guesses.Add(1)
					waited.Add(int64(time.Since(asked)))
				}
				_ = c.Close()
			}
			return nil
		})
		n := max(1, guesses.Load())
		return fmt.Sprintf("%.1f guesses a second, %.2f s each, %.3f s of processor each",
			float64(n)/time.Since(start).Seconds(), (time.Duration(waited.Load()) / time.Duration(n)).Seconds(),
			(l.processor()-before).Seconds()/float64(n)), err
	}
}
