// Package health keeps the named conditions that say what is wrong with a
// running agent: what a person sees in `popbridge status` and what the log
// records when a problem begins and ends.
//
// A condition is reported by a source ("account home", "imap 127.0.0.1:1143",
// "config"); a source always reports everything that holds for it at the
// moment, and an empty report clears it. So a condition can never outlive its
// cause because someone forgot to clear it.
//
// The translation of faults into conditions is in conditions.go, that of an
// account's in account.go, and nowhere else; pressing.go says when people are told.
package health

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Severity says how urgent a condition is.
type Severity string

// The severities: mail does not flow at Error, may soon not flow at Warning.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// A Condition is one thing that is not as it should be.
type Condition struct {
	Code     string    `json:"code"`     // stable name, for scripts
	Severity Severity  `json:"severity"` // how urgent
	Text     string    `json:"text"`     // one plain sentence
	Hint     string    `json:"hint"`     // what to do; may be empty
	Since    time.Time `json:"since"`    // when it was first reported
	// Cause is what several sources may report, each in its words: they are one
	// condition. Empty: it is its source's own.
	Cause string `json:"-"`
	// User is whose mail it is about. Empty: it is about none in particular.
	User   string `json:"user,omitempty"`
	Source string `json:"source,omitempty"` // who reported it, such as "account home"; set by Report
	// Link is where a person does at the provider what the hint says: https, from the
	// provider table and never from a server. Empty: none is known.
	Link string `json:"link,omitempty"`
}

// A Registry holds the conditions of all sources. It is safe for use by
// several goroutines.
type Registry struct {
	log zerolog.Logger
	now func() time.Time

	mu       sync.Mutex
	bySource map[string][]Condition
	changes  chan struct{} // capacity 1
}

// New returns an empty registry that logs each condition when it begins and
// when it ends; one of an account in between, too, when its text changes.
func New(log zerolog.Logger, now func() time.Time) *Registry {
	return &Registry{log: log, now: now, bySource: map[string][]Condition{}, changes: make(chan struct{}, 1)}
}

// Changes receives after conditions began or ended. It is for one reader.
func (r *Registry) Changes() <-chan struct{} { return r.changes }

// changed never waits: a reader that is told later is told of all.
func (r *Registry) changed() {
	select {
	case r.changes <- struct{}{}:
	default:
	}
}

// Report replaces what is known of source. A condition that held before keeps
// its Since; those that are no longer reported are over.
func (r *Registry) Report(source string, conditions ...Condition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.bySource[source]
	for i := range conditions {
		c := &conditions[i]
		c.Source = source
		if j := indexCode(before, c.Code); j >= 0 {
			c.Since = before[j].Since
			if c.Text != before[j].Text && strings.HasPrefix(c.Code, "account-") { // of others, numbers change
				r.write(source, c, "health condition changed")
			}
			continue
		}
		c.Since = r.now()
		r.changed()
		r.write(source, c, "health condition raised")
	}
	for _, old := range before {
		if indexCode(conditions, old.Code) < 0 {
			r.changed()
			r.log.Info().Str("source", source).Str("code", old.Code).Msg("health condition cleared")
		}
	}
	if len(conditions) == 0 {
		delete(r.bySource, source)
		return
	}
	r.bySource[source] = slices.Clone(conditions)
}

func (r *Registry) write(source string, c *Condition, what string) {
	r.log.WithLevel(c.Severity.level()).Str("source", source).Str("code", c.Code).
		Str("text", c.Text).Str("hint", c.Hint).Msg(what)
}

// List returns all conditions, the most severe first, then the oldest. Of those
// with one cause it returns the first.
func (r *Registry) List() []Condition {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []Condition{}
	for _, cs := range r.bySource {
		list = append(list, cs...)
	}
	slices.SortFunc(list, func(a, b Condition) int {
		return cmp.Or(
			cmp.Compare(b.Severity.rank(), a.Severity.rank()),
			a.Since.Compare(b.Since),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Text, b.Text))
	})
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(c Condition) bool {
		again := c.Cause != "" && seen[c.Cause]
		seen[c.Cause] = true
		return again
	})
}

func indexCode(list []Condition, code string) int {
	return slices.IndexFunc(list, func(c Condition) bool { return c.Code == code })
}

func (s Severity) rank() int {
	return slices.Index([]Severity{Info, Warning, Error}, s)
}

func (s Severity) level() zerolog.Level {
	switch s {
	case Error:
		return zerolog.ErrorLevel
	case Warning:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
