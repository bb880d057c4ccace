package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

var token = regexp.MustCompile(`(?i)X-Stress: (\S+)`)

// verify looks for every message: those the POP servers were given, those that
// were appended, moved and copied. Each is there once, and nothing else is.
func (r *run) verify(ctx context.Context) error {
	if err := r.sync(ctx); err != nil {
		return err
	}
	total := 0
	for i, user := range devices {
		if i > 0 && user == devices[i-1] {
			continue
		}
		want := make(map[string]bool)
		for k := range r.popped[user].Load() {
			want[fmt.Sprintf("INBOX pop-%d", k+1)] = true
		}
		folders := shared
		for _, a := range r.actors {
			if a.user != user {
				continue
			}
			folders = append(folders[:len(folders):len(folders)], a.folder())
			for _, m := range a.own {
				want[a.folder()+" "+m.token] = true
			}
			for key := range a.left {
				want[key] = true
			}
		}
		total += len(want)
		if err := r.compare(ctx, user, fmt.Sprintf("%s-%d", password, i), folders, want); err != nil {
			return fmt.Errorf("%s: %w", user, err)
		}
	}
	fmt.Printf("\n%d messages, each in its place once\n", total)
	return nil
}

func (r *run) compare(ctx context.Context, user, device string, folders []string, want map[string]bool) error {
	c, err := dial(ctx, r.agent.Port, user, device, r.log)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if _, err := c.do("", "EXAMINE "+folder); err != nil {
			return err
		}
		if c.exists == 0 {
			continue
		}
		lines, err := c.do("", "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-STRESS)])")
		if err != nil {
			return err
		}
		if len(lines) != c.exists+1 {
			return fmt.Errorf("%s: %d answers for %d messages", folder, len(lines), c.exists)
		}
		for _, line := range lines[:c.exists] {
			m := token.FindStringSubmatch(line)
			if m == nil || !want[folder+" "+m[1]] {
				return fmt.Errorf("%s: twice, or not where it should be: %q", folder, line)
			}
			delete(want, folder+" "+m[1])
		}
	}
	for key := range want {
		return fmt.Errorf("%d messages are missing, one of them %s", len(want), key)
	}
	return c.logout()
}

// maxGoroutines is what the agent has without clients, with some to spare.
const maxGoroutines = 60

// goroutines kills the agent in the way that makes a Go program tell all of its
// goroutines. What clients were told is stored must be there afterwards, too.
func (r *run) goroutines() error {
	if err := r.agent.Quit(); err != nil {
		return err
	}
	n := strings.Count(r.agent.Log(), "\ngoroutine ")
	fmt.Printf("%d goroutines without clients\n", n)
	if n == 0 || n > maxGoroutines {
		return fmt.Errorf("%d goroutines without clients, at most %d are right:\n%s", n, maxGoroutines, r.agent.Log())
	}
	return nil
}
