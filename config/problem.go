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

// In returns where in the named file the problem is, and what: one line
// without the hint. Without a file that is the key.
func (p Problem) In(file string) string {
	if p.Line > 0 {
		file = fmt.Sprintf("%s:%d", file, p.Line)
	}
	words := slices.DeleteFunc([]string{file, p.Key, p.Text}, func(s string) bool { return s == "" })
	return strings.Join(words, ": ")
}

// Errors is everything that is wrong with a configuration file, in file order.
// It is a fault of kind Config.
type Errors struct {
	File     string // as it was given to Load; "" for a text that was not written
	Problems []Problem
}

// Error returns one line for each problem: file:line: key: text.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.In(e.File)
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
	file := e.File
	if file != "" {
		file = filepath.Base(file)
	}
	first := e.Problems[0].In(file)
	*f = &fault.Error{Kind: fault.Config, Text: first, Hint: e.Problems[0].Hint}
	if n := len(e.Problems); n > 1 {
		(*f).Text = fmt.Sprintf("%d errors, the first: %s", n, first)
		(*f).Hint = "run popbridge check-config to see them all"
	}
	return true
}

func sortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}
