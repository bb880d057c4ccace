package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"time"
)

// row is one line of the table: a figure of popbridge, beside another program's
// where there is one, and what became of its target.
type row struct {
	Messages int     `json:"messages,omitempty"`
	Group    string  `json:"group"`
	Name     string  `json:"name"`
	Figure   float64 `json:"figure"`
	Beside   float64 `json:"beside,omitempty"`
	Unit     string  `json:"unit"`
	Ratio    float64 `json:"ratio,omitempty"` // Beside over Figure: above 1, popbridge is better
	Target   string  `json:"target,omitempty"`
	Verdict  string  `json:"verdict,omitempty"` // met, missed, differs
	Note     string  `json:"note,omitempty"`
}

const (
	met     = "met"
	missed  = "missed"
	differs = "differs" // the answers are not equal, so that the ratio says nothing
)

// table collects the rows, and prints each as soon as it is there.
type table struct {
	out   io.Writer
	rows  []row
	group string
}

func (t *table) add(r row) {
	t.rows = append(t.rows, r)
	if r.Group != t.group {
		t.group = r.Group
		fmt.Fprintf(t.out, "\n%-34s %8s %12s %12s %8s %10s  %s\n", r.Group, "messages", "popbridge", "beside", "ratio", "target", "verdict")
	}
	fmt.Fprintf(t.out, "%-34s %8s %12s %12s %8s %10s  %-7s %s\n", r.Name, blank(float64(r.Messages), "%.0f"),
		measured(r.Figure, r.Unit), blank(r.Beside, "%.4g "+r.Unit), blank(r.Ratio, "%.2f"), r.Target, r.Verdict, r.Note)
}

// beside adds times, of which the ratio has to be at least min; 0 is no target.
func (t *table) beside(r row, ours, theirs time.Duration, min float64) row {
	r.Figure, r.Beside, r.Unit = ours.Seconds()*1000, theirs.Seconds()*1000, "ms"
	r.Ratio = r.Beside / r.Figure
	if min > 0 {
		r.Target = fmt.Sprintf(">= %.4g", min)
		if r.Verdict == "" {
			r.Verdict = verdict(r.Ratio >= min)
		}
	}
	t.add(r)
	return r
}

// atMost adds a figure that has an upper bound; 0 is none.
func (t *table) atMost(r row, figure float64, unit string, max float64) {
	r.Figure, r.Unit = figure, unit
	if max > 0 {
		r.Target = fmt.Sprintf("<= %.4g", max)
		r.Verdict = verdict(figure <= max)
	}
	t.add(r)
}

func verdict(ok bool) string {
	if ok {
		return met
	}
	return missed
}

func measured(v float64, unit string) string { return fmt.Sprintf("%.4g %s", v, unit) }

func blank(v float64, format string) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// geometricMean counts each row as cap at most, and leaves out those whose answers
// differ.
func geometricMean(rows []row, cap float64) float64 {
	sum, n := 0.0, 0
	for _, r := range rows {
		if r.Verdict != differs {
			sum, n = sum+math.Log(min(r.Ratio, cap)), n+1
		}
	}
	return math.Exp(sum / float64(max(n, 1)))
}

// summary prints how many targets were met.
func (t *table) summary() {
	count := map[string]int{}
	for _, r := range t.rows {
		count[r.Verdict]++
	}
	fmt.Fprintf(t.out, "\n%d targets met, %d missed, %d rows whose answers differ\n", count[met], count[missed], count[differs])
}

// write keeps the table as JSON.
func (t *table) write(path string) error {
	raw, err := json.MarshalIndent(struct {
		At   time.Time `json:"at"`
		OS   string    `json:"os"`
		CPUs int       `json:"cpus"`
		Rows []row     `json:"rows"`
	}{time.Now().UTC().Truncate(time.Second), runtime.GOOS + "/" + runtime.GOARCH, runtime.NumCPU(), t.rows}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
