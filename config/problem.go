package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// Problem is one thing in a configuration file that is wrong, or, as a
// warning, that should be known.
type Problem struct {
	Line int    // from 1; 0 where the whole file is meant
	Key  string // like account[1].port, accounts counted from 1; empty for a syntax error
	Text string // what is wrong; one line
	Hint string // what to do; may be empty
}

// String returns the problem on one line, without the file.
func (p Problem) String() string {
	var b strings.Builder
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString("; hint: " + p.Hint)
	}
	return b.String()
}

// Errors is everything that is wrong with a configuration file, in file order.
// It is a fault of kind Config.
type Errors struct {
	File     string // as it was given to Load
	Problems []Problem
}

// Error returns one line for each problem: file:line: key: text; hint: hint.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		if p.Line > 0 {
			lines[i] = fmt.Sprintf("%s:%d: %s", e.File, p.Line, p)
		} else {
			lines[i] = fmt.Sprintf("%s: %s", e.File, p)
		}
	}
	return strings.Join(lines, "\n")
}

// As makes a fault of kind Config out of e, for code that knows only faults:
// its text is one sentence, where Error has a line for each problem.
func (e *Errors) As(target any) bool {
	f, ok := target.(**fault.Error)
	if !ok {
		return false
	}
	first, name := e.Problems[0], filepath.Base(e.File)
	*f = &fault.Error{Kind: fault.Config, Text: fmt.Sprintf("%s:%d: %s", name, first.Line, Problem{Key: first.Key, Text: first.Text}), Hint: first.Hint}
	if n := len(e.Problems); n > 1 {
		(*f).Text = fmt.Sprintf("%s has %d errors, the first in line %d: %s", name, n, first.Line, Problem{Key: first.Key, Text: first.Text})
		(*f).Hint = "run popbridge check-config to see them all"
	}
	return true
}

func sortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}
