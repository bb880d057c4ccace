package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or config
	exitPart   = 3 // some accounts or messages failed
)

// failures are several errors of one command, each shown on its own.
type failures struct {
	errs []error
	part bool // the rest went through
}

// Error implements error.
func (f *failures) Error() string { return errors.Join(f.errs...).Error() }

// Unwrap makes the errors known to errors.Is.
func (f *failures) Unwrap() []error { return f.errs }

// shown is the exit code of another process of popbridge, which has shown why.
type shown int

// Error implements error.
func (s shown) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// exit shows what went wrong and returns the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return exitDone
	}
	if f, ok := errors.AsType[*failures](err); ok {
		for _, e := range f.errs {
			a.show(e)
		}
		if f.part {
			return exitPart
		}
		return exitFailed
	}
	if code, ok := errors.AsType[shown](err); ok {
		return int(code)
	}
	a.show(err)
	if fault.Is(err, fault.Config) {
		return exitUsage
	}
	return exitFailed
}

// show prints an error and its hint.
func (a *app) show(err error) {
	if problems, ok := errors.AsType[*config.Errors](err); ok {
		for _, p := range problems.Problems {
			a.complain("error", p.In(problems.File))
			a.complain("hint", p.Hint)
		}
		return
	}
	hint := fault.Hint(err)
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	a.complain("error", err.Error())
	a.complain("hint", hint)
}

// complain prints one line for a person; of several lines the others are
// indented.
func (a *app) complain(what, text string) {
	if text != "" {
		_, _ = fmt.Fprintf(a.stderr, "%s: %s\n", what, strings.ReplaceAll(text, "\n", "\n  "))
	}
}

// begun returns the name of which word is the beginning of no other one, or else a
// misspelling; "" for none.
func begun(word string, names []string) string {
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, word) {
			found = append(found, name)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return config.Nearest(word, names)
}

// usage makes a fault of what cobra says about arguments.
func usage(root *cobra.Command, args []string, err error) error {
	cmd, rest, _ := root.Find(args)
	hint := fmt.Sprintf("`%s --help` shows how it is used", cmd.CommandPath())
	if !cmd.HasSubCommands() {
		hint = "it is used as " + cmd.UseLine() + "; " + hint
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if len(rest) > 0 {
		if near := begun(rest[0], names); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
	}
	return fault.New(fault.Config, err.Error(), hint)
}

// excluded makes a fault of what cobra says about options that exclude each other, the
// last words of which are "[one other] were all set".
func excluded(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	names, _, _ := strings.Cut(text[strings.LastIndexByte(text, '[')+1:], "]")
	return fault.New(fault.Config, "--"+strings.Join(strings.Fields(names), " and --")+" exclude each other", "leave one of them out")
}
