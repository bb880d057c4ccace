package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
)

// maxGrowth is by how much the time for a message may grow with the mailbox.
const maxGrowth = 1.5

// growth measures how the time for one message grows with the mailbox, and draws it.
func growth(ctx context.Context, o options, t *table, dir string) error {
	var names []string
	times := map[string][]float64{} // microseconds a message, by name
	for _, n := range o.growth {
		err := growthAt(ctx, o, t, dir, n, func(name string, each time.Duration) {
			if len(times[name]) == 0 {
				names = append(names, name)
			}
			times[name] = append(times[name], float64(each.Nanoseconds())/1000)
		})
		if err != nil {
			return err
		}
	}
	p := plot{sizes: o.growth}
	for _, name := range names {
		us := times[name]
		note := ""
		for i, n := range o.growth {
			note += fmt.Sprintf("%d: %.4g us; ", n, us[i])
		}
		t.atMost(row{Messages: o.growth[len(us)-1], Group: "growth of the time for a message", Name: name, Note: note}, us[len(us)-1]/us[0], "x", maxGrowth)
		p.lines = append(p.lines, line{name, us})
	}
	if o.svg == "" {
		return nil
	}
	return os.WriteFile(o.svg, p.draw(), 0o644)
}

// short is a message of the growth rows: of a million long ones the making alone would
// take a quarter of an hour.
func short(i int) []byte {
	var text strings.Builder
	for k := range 60 {
		fmt.Fprintf(&text, "w%d ", (i*31+k*k*7919)%5000)
		if k%10 == 9 {
			text.WriteString("\r\n")
		}
	}
	return fmt.Appendf(nil, "From: Person %d <person%d@example.com>\r\nTo: home@example.com\r\nSubject: w%d w%d %d\r\n"+
		"Date: %s\r\nMessage-ID: <%d@example.com>\r\n\r\n%s", i%997, i%997, i%100, i%5000, i,
		testkit.MessageTime(i).Format(time.RFC1123Z), i, text.String())
}

func growthAt(ctx context.Context, o options, t *table, dir string, n int, add func(name string, each time.Duration)) (err error) {
	l, err := newLab(ctx, o, t, dir, n, short)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, l.close()) }()
	p, took, err := l.fetchPopbridge(ctx, l.d.POP3)
	if err != nil {
		return err
	}
	add("fetch", took/time.Duration(n))
	if l.p = p; l.p.Start(ctx) != nil {
		return fmt.Errorf("popbridge does not start: %s", l.p.Log())
	}
	if err := l.polled(ctx); err != nil {
		return err
	}
	c, err := dial(ctx, l.p.Port, devicePassword)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := l.indexed(c); err != nil {
		return err
	}
	const singles = 200
	var fetches, stores []string
	for i := range singles {
		number := 1 + (i*7919)%n
		fetches = append(fetches, fmt.Sprintf("FETCH %d (UID FLAGS ENVELOPE)", number))
		stores = append(stores, fmt.Sprintf(`STORE %d %cFLAGS.SILENT (\Flagged)`, number, "+-"[i%2]))
	}
	for _, step := range []struct {
		name  string
		lines []string
		per   int
	}{
		{"flags", []string{"FETCH 1:* (UID FLAGS)"}, n},
		{"envelope", []string{"FETCH 1:* (UID ENVELOPE)"}, n},
		{"single FETCH", fetches, singles},
		{"STORE", []string{`STORE 1:* +FLAGS.SILENT (\Flagged)`, `STORE 1:* -FLAGS.SILENT (\Flagged)`}, 2 * n},
		{"single STORE", stores, singles},
		{"search", []string{`SEARCH SUBJECT "w12"`}, n},
	} {
		var all []time.Duration
		for range o.rounds {
			took, err := (&command{lines: step.lines}).time(c)
			if err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			all = append(all, took)
		}
		add(step.name, median(all)/time.Duration(step.per))
	}
	return nil
}
