package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// command is a row of the table: what is sent, in turn, in one round.
type command struct {
	name    string
	lines   []string
	literal string // for a line that ends in {n}
	rounds  int    // 0: as many as there are
	target  float64
	check   []string // commands whose answers must be equal; nil: the first line
	word    string   // of the responses that are compared
}

// draft is what append appends.
var draft = "Subject: bench\r\nFrom: a@example.com\r\n\r\n" + strings.Repeat("x", 70) + "\r\n"

// maxBodies is how many headers and bodies are fetched at most.
const maxBodies = 20_000

const (
	eachTarget = 1.2 // times as fast as Dovecot
	wireTarget = 2
	meanTarget = 3
	meanCap    = 10 // what a row counts in the mean at most
)

// commands are what clients send.
func commands(n int) []command {
	some := fmt.Sprintf("1:%d", min(n, maxBodies))
	mark, unmark := "UID STORE "+some+` +FLAGS.SILENT (\Flagged)`, "UID STORE "+some+` -FLAGS.SILENT (\Flagged)`
	return []command{
		{name: "select", lines: []string{"SELECT INBOX"}, word: "EXISTS", target: eachTarget},
		{name: "flags", lines: []string{"FETCH 1:* (UID FLAGS)"}, target: eachTarget},
		{name: "sizes", lines: []string{"UID FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)"}, target: eachTarget},
		{name: "envelope", lines: []string{"FETCH 1:* (UID ENVELOPE)"}, target: wireTarget},
		{name: "structure", lines: []string{"FETCH 1:* (BODYSTRUCTURE)"}, target: wireTarget},
		{name: "headers", lines: []string{"FETCH " + some + " (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])"}, target: wireTarget},
		{name: "bodies", lines: []string{"FETCH " + some + " (BODY.PEEK[])"}, target: eachTarget},
		{name: "search flag", lines: []string{"SEARCH UNSEEN"}, word: "SEARCH", target: eachTarget},
		{name: "search subject", lines: []string{`SEARCH SUBJECT "w12"`}, word: "SEARCH", target: eachTarget},
		{name: "search body", lines: []string{`SEARCH BODY "w1234 w"`}, rounds: 1, word: "SEARCH", target: eachTarget,
			check: []string{`SEARCH BODY "w1234"`}}, // popbridge finds a phrase across the end of a line too
		{name: "store", lines: []string{mark, unmark}, word: "SEARCH", target: eachTarget,
			check: []string{mark, "SEARCH FLAGGED", unmark, "SEARCH UNFLAGGED"}},
		{name: "append", lines: slices.Repeat([]string{fmt.Sprintf("APPEND INBOX {%d}", len(draft))}, 50), literal: draft, target: eachTarget,
			check: []string{"NOOP", "FETCH * (RFC822.SIZE BODY.PEEK[])"}},
		{name: "noop", lines: slices.Repeat([]string{"NOOP"}, 200), check: []string{}, target: eachTarget},
		{name: "status", lines: slices.Repeat([]string{"STATUS INBOX (MESSAGES UNSEEN UIDNEXT)"}, 50), word: "STATUS", target: eachTarget},
	}
}

// imap times the same commands on popbridge and on Dovecot over the same mail.
func (l *lab) imap(ctx context.Context) error {
	ours, theirs, err := l.both(ctx)
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	if err := l.indexed(ours); err != nil {
		return err
	}
	for _, c := range []*client{ours, theirs} { // everything is seen, but for some
		if _, err := c.command(`STORE 1:* +FLAGS.SILENT (\Seen)`, ""); err != nil {
			return err
		}
		if _, err := c.command("STORE "+everyTenth(min(l.n, 3000))+` -FLAGS.SILENT (\Seen)`, ""); err != nil {
			return err
		}
	}
	var rows []row
	for _, c := range commands(l.n) {
		r, err := l.compare("imap, beside Dovecot", c, ours, theirs)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	mean := geometricMean(rows, meanCap)
	r := row{Messages: l.n, Group: "imap, beside Dovecot", Name: "mean, each row 10 at most", Unit: "x", Figure: mean, Ratio: mean,
		Target: fmt.Sprintf(">= %d", meanTarget), Verdict: verdict(mean >= meanTarget)}
	l.add(r)
	return nil
}

func everyTenth(n int) string {
	var list []string
	for i := 1; i <= n; i += 10 {
		list = append(list, strconv.Itoa(i))
	}
	return strings.Join(list, ",")
}

// compare times a command on both sides, in turn, and compares the answers.
func (l *lab) compare(group string, c command, ours, theirs *client) (row, error) {
	rounds := c.rounds
	if rounds == 0 {
		rounds = l.rounds
	}
	r := row{Messages: l.n, Group: group, Name: c.name}
	var a, b []time.Duration
	for round := range rounds + 1 {
		if round == 0 && c.rounds != 0 {
			continue
		}
		first, err := c.time(ours)
		if err != nil {
			return r, fmt.Errorf("popbridge: %s: %w", c.name, err)
		}
		second, err := c.time(theirs)
		if err != nil {
			return r, fmt.Errorf("dovecot: %s: %w", c.name, err)
		}
		if round > 0 { // the first one warms caches
			a, b = append(a, first), append(b, second)
		}
	}
	var err error
	if r.Note, err = c.compare(ours, theirs); err != nil {
		return r, err
	}
	if r.Note != "" {
		r.Verdict = differs
	}
	return l.beside(r, median(a), median(b), c.target), nil
}

func (c *command) time(on *client) (time.Duration, error) {
	start := time.Now()
	for _, line := range c.lines {
		if _, err := on.command(line, c.literal); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// compare returns in what the answers differ, "" for in nothing.
func (c *command) compare(ours, theirs *client) (string, error) {
	lines, word := c.check, c.word
	if lines == nil {
		lines = c.lines[:1]
	}
	if word == "" {
		word = "FETCH"
	}
	for _, line := range lines {
		a, na, err := ours.answers(line, "", word)
		b, nb, err2 := theirs.answers(line, "", word)
		if err := errors.Join(err, err2); err != nil {
			return "", fmt.Errorf("%s: %w", c.name, err)
		}
		if len(a) != len(b) || na != nb {
			return fmt.Sprintf("%d responses with %d octets of literals, Dovecot %d with %d", len(a), na, len(b), nb), nil
		}
		different := 0
		for i := range a {
			if a[i] != b[i] {
				different++
			}
		}
		if different > 0 {
			return fmt.Sprintf("%d of %d responses are not Dovecot's", different, len(a)), nil
		}
	}
	return "", nil
}

// open times the first open of the mailbox after a start, to the last FLAGS line.
// Dovecot begins a new process and has its caches.
func (l *lab) open(ctx context.Context) error {
	c := command{lines: []string{"SELECT INBOX", "FETCH 1:* (FLAGS)"}}
	var a, b []time.Duration
	for range l.rounds {
		if err := l.restart(ctx); err != nil {
			return err
		}
		for _, side := range []struct {
			port     int
			password string
			times    *[]time.Duration
		}{{l.p.Port, devicePassword, &a}, {l.d.IMAP, rig.Password, &b}} {
			on, err := login(ctx, side.port, side.password)
			if err != nil {
				return err
			}
			took, err := c.time(on)
			if err := errors.Join(err, on.Close()); err != nil {
				return err
			}
			*side.times = append(*side.times, took)
		}
	}
	l.beside(row{Messages: l.n, Group: "imap, beside Dovecot", Name: "first open after a start, FLAGS"}, median(a), median(b), 2)
	return nil
}

// words searches for a word that one message has and one that many have.
func (l *lab) words(group, name string, rareTarget, commonTarget float64, rounds int, ours, theirs *client) error {
	rare := l.n / 2
	for rare%3 != 2 || rare%7 == 1 {
		rare++
	}
	for _, c := range []command{
		{name: "rare word" + name, lines: []string{`SEARCH BODY "` + rareWord(rare) + `"`}, target: rareTarget},
		{name: "common word" + name, lines: []string{`SEARCH BODY "w1234"`}, target: commonTarget},
	} {
		c.word, c.rounds = "SEARCH", rounds
		if _, err := l.compare(group, c, ours, theirs); err != nil {
			return err
		}
	}
	return nil
}
