package logging

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/terminal"
)

// console writes log lines for people: what happened in words where it happens
// often, durations with units, one line for one event, and nothing that a
// terminal would obey. Programs read the JSON, which has everything.
type console struct{ out io.Writer }

func newConsole(w io.Writer, colour bool) io.Writer {
	return console{zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !colour}}
}

// fields are those of one event. Numbers are json.Number.
type fields map[string]any

func (f fields) text(key string) string {
	s, _ := f[key].(string)
	return s
}

func (f fields) number(key string) float64 {
	n, _ := f[key].(json.Number)
	v, _ := n.Float64()
	return v
}

// Write implements io.Writer; zerolog writes one event at a time.
func (c console) Write(p []byte) (int, error) {
	f, err := parseFields(p)
	if err != nil {
		return len(p), pass(c.out, p)
	}
	text, hint, shown := f.sentence()
	if !shown {
		return len(p), nil
	}
	message := withHint(text, hint)
	event := map[string]any{zerolog.LevelFieldName: f[zerolog.LevelFieldName], zerolog.TimestampFieldName: f[zerolog.TimestampFieldName],
		zerolog.MessageFieldName: terminal.Text(message)}
	if message == f.text(zerolog.MessageFieldName) {
		for key, value := range f {
			if _, have := event[key]; !have && key != "component" {
				event[key] = readable(key, value)
			}
		}
	}
	line, err := json.Marshal(event)
	if err != nil {
		return 0, err
	}
	return len(p), pass(c.out, line)
}

func pass(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}

// sentence is what happened, in words, what to do, and whether it is shown: what a health
// condition says as well is not shown twice. Where it is the message itself, the
// fields belong to it.
func (f fields) sentence() (text, hint string, shown bool) {
	message := f.text(zerolog.MessageFieldName)
	switch message {
	case "poll failed":
		return "", "", false // a health condition says it, with what to do
	case "poll done":
		return f.poll(), "", true
	case "health condition raised", "health condition changed":
		return fmt.Sprintf("%s (%s)", f.text("text"), f.text("code")), f.text("hint"), true
	case "health condition cleared":
		return fmt.Sprintf("%s: no longer %s", f.text("source"), f.text("code")), "", true
	case "config has a warning":
		return fmt.Sprintf("config, line %.0f: %s: %s", f.number("line"), f.text("key"), f.text("text")), f.text("hint"), true
	}
	return message, "", true
}

func withHint(text, hint string) string {
	text = strings.ReplaceAll(text, "\n", "\n         ")
	if hint != "" {
		text += "\n         hint: " + hint
	}
	return text
}

// poll is what a poll did.
func (f fields) poll() string {
	did := []string{}
	if n := f.number("stored"); n > 0 {
		did = append(did, "fetched "+messages(n)+" from "+f.text("account"))
	}
	if n := f.number("adopted"); n > 0 {
		did = append(did, "recognised "+messages(n))
	}
	if n := f.number("deleted"); n > 0 {
		did = append(did, "deleted "+messages(n)+" on the server")
	}
	if n := f.number("failed"); n > 0 {
		did = append(did, messages(n)+" could not be fetched")
	}
	if len(did) == 0 {
		return f.text("account") + " is polled again, nothing new"
	}
	if f.number("stored") == 0 {
		did[0] = f.text("account") + ": " + did[0]
	}
	return strings.Join(did, ", ") + " in " + duration(f.number("dur"))
}

func messages(n float64) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%.0f messages", n)
}

// duration writes milliseconds, as zerolog has them, with a unit.
func duration(ms float64) string {
	switch d := time.Duration(ms * float64(time.Millisecond)); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	default:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
}

// readable is the value of a field for a person.
func readable(key string, value any) any {
	switch key {
	case "dur", "interval":
		if n, ok := value.(json.Number); ok {
			ms, _ := n.Float64()
			return duration(ms)
		}
	case "next", "since":
		if s, ok := value.(string); ok {
			if at, err := time.Parse(time.RFC3339, s); err == nil {
				return at.Local().Format(time.TimeOnly)
			}
		}
	}
	if list, ok := value.([]any); ok {
		parts := make([]string, len(list))
		for i, v := range list {
			parts[i] = fmt.Sprint(v)
		}
		value = strings.Join(parts, ", ") // ConsoleWriter escapes text, and lists not
	}
	return value
}
