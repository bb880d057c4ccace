// Package logging makes the one logger that main hands to every package.
//
// Messages are static and in the past tense ("mail was fetched"), everything
// that varies is a field: component, account, user, mailbox, uid, msg, size,
// dur, attempt, next, err. Info is a change of state; secrets and mail content
// are in no line at any level.
package logging

import (
	"io"
	"os"
	"sync/atomic"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"github.com/popbridge/popbridge/internal/terminal"
)

// New returns a logger that writes to w. The level is one of zerolog's names
// ("trace" to "error"), anything else means info; format is "console", "json"
// or "auto": console on a terminal, else json.
func New(w io.Writer, level, format string) zerolog.Logger {
	log, _ := NewAdjustable(w, level, format)
	return log
}

// NewAdjustable is New for a logger whose level can change while it, and every
// logger derived from it, is in use. also gets the same records, as JSON.
func NewAdjustable(w io.Writer, level, format string, also ...io.Writer) (zerolog.Logger, *Level) {
	if format == "console" || format == "auto" && isTerminal(w) {
		w = newConsole(w, isTerminal(w))
	} else {
		w = terminal.JSONWriter(w)
	}
	for _, other := range also {
		w = zerolog.MultiLevelWriter(w, other)
	}
	l := &Level{}
	l.Set(level)
	return zerolog.New(w).Level(zerolog.TraceLevel).Sample(l).With().Timestamp().Logger(), l
}

// Warnings is for NewAdjustable to write what is at least a warning to w, too, for people.
func Warnings(w io.Writer) io.Writer {
	return &zerolog.FilteredLevelWriter{Writer: zerolog.LevelWriterAdapter{Writer: newConsole(w, isTerminal(w))}, Level: zerolog.WarnLevel}
}

// A Level decides which lines are written. It is a sampler because zerolog
// asks samplers before a line is built, and derived loggers share them.
type Level struct{ min atomic.Int32 }

// Set changes the level at once, for every logger that shares it.
func (l *Level) Set(name string) {
	min, err := zerolog.ParseLevel(name)
	if err != nil || min == zerolog.NoLevel {
		min = zerolog.InfoLevel
	}
	l.min.Store(int32(min))
}

// Sample implements zerolog.Sampler.
func (l *Level) Sample(level zerolog.Level) bool { return int32(level) >= l.min.Load() }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
