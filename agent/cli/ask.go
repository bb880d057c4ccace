package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

// tries is how often one question is asked.
const tries = 3

// maxTyped is how many octets of a line terminals pass on, everywhere: macOS has
// MAX_CANON 1024, Linux 4096, and what is longer is cut off without a word.
const maxTyped = 1023

// errNoAnswer is the end of what is typed, Ctrl-D.
var errNoAnswer = fault.New(fault.Temporary, "there was no answer", "nothing was changed")

// errEmptyPassword is that Enter alone was typed for a password.
var errEmptyPassword = fault.New(fault.Config, "the password is empty", "nothing was changed")

// terminalOf is the terminal that a person types at.
func (a *app) terminalOf() (fd int, ok bool) {
	f, ok := a.stdin.(*os.File)
	if !ok {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}

func (a *app) interactive() bool {
	_, ok := a.terminalOf()
	return ok
}

// question asks for a line at the terminal, without the blanks around it; again where an
// arrow key was pressed, which the terminal passes on.
func (a *app) question(ctx context.Context, text string) (string, error) {
	for range tries {
		_, _ = io.WriteString(a.stderr, text)
		line, err := a.readLine(ctx)
		if err != nil {
			_, _ = fmt.Fprintln(a.stderr)
			return "", err
		}
		if !strings.ContainsFunc(line, unicode.IsControl) {
			return strings.TrimSpace(line), checkUTF8(line)
		}
		_, _ = fmt.Fprintln(a.stderr, "  an arrow key or the like was pressed, which is no part of an answer: type it again, or paste it")
	}
	return "", errNoAnswer
}

// checkUTF8 refuses what would be changed on its way: JSON and TOML hold nothing else.
func checkUTF8(typed string) error {
	if utf8.ValidString(typed) {
		return nil
	}
	return fault.New(fault.Config, "what was typed is not UTF-8 text", "use a terminal whose character set is UTF-8")
}

// yes asks a question whose answer is yes or no; usual is that of an empty line.
func (a *app) yes(ctx context.Context, text string, usual bool) (bool, error) {
	for range tries {
		answer, err := a.question(ctx, text)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "":
			return usual, nil
		case "y", "yes", "j", "ja", "o", "oui", "s", "si", "sí":
			return true, nil
		case "n", "no", "nein", "non":
			return false, nil
		}
		a.printf("Please type y or n.\n")
	}
	return false, nil
}

// hidden asks for a line that is not shown. The terminal is as it was afterwards, however
// the question ends.
func (a *app) hidden(ctx context.Context, text string) (line string, err error) {
	fd, ok := a.terminalOf()
	if !ok {
		return "", fault.New(fault.Config, "there is no terminal to ask questions at", "give the answer another way; --help says how")
	}
	restore, err := hideTyping(fd)
	if err != nil {
		return "", fault.Wrap(err, fault.Temporary, "the terminal cannot be kept from showing what is typed", "give the password another way; --help says how")
	}
	defer func() {
		err = errors.Join(err, restore())
		_, _ = fmt.Fprintln(a.stderr)
	}()
	_, _ = io.WriteString(a.stderr, text)
	return a.readLine(ctx)
}

// readLine reads a line, and not an octet more, which the next question may want. Where
// ctx ends before it is typed, the next question gets it.
func (a *app) readLine(ctx context.Context) (string, error) {
	a.reading.Lock()
	defer a.reading.Unlock()
	if a.typed == nil {
		a.typed = make(chan typedLine, 1)
		go func(typed chan<- typedLine) { // stays behind until the process ends
			var line []byte
			var octet [1]byte
			for {
				n, err := a.stdin.Read(octet[:])
				if n == 1 && octet[0] == '\n' || err != nil {
					typed <- typedLine{line, err}
					return
				}
				line = append(line, octet[:n]...)
			}
		}(a.typed)
	}
	select {
	case t := <-a.typed:
		a.typed = nil
		if errors.Is(t.err, io.EOF) || errors.Is(t.err, os.ErrClosed) {
			t.err = errNoAnswer
		}
		return strings.TrimSuffix(string(t.line), "\r"), t.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// typedLine is a line from standard input, without its end.
type typedLine struct {
	line []byte
	err  error
}

// askPassword asks for the password of an account, or reads it from standard input where
// that is no terminal.
func (a *app) askPassword(ctx context.Context, account config.Account) (secret.Secret, error) {
	if !a.interactive() {
		text, err := readPassword(a.stdin, secret.MaxSize, "it is one line, and nothing else")
		return secret.Secret(text), err
	}
	typed, err := a.hidden(ctx, fmt.Sprintf("Password of %s at %s: ", account.Username, account.Host))
	switch {
	case err != nil:
		return "", err
	case typed == "":
		return "", errEmptyPassword
	case len(typed) >= maxTyped:
		return "", fault.New(fault.Config, "the password is too long to be typed, and may have been cut off", "give it with --password-stdin or in a file")
	case strings.ContainsRune(typed, '\x1b'):
		return "", fault.New(fault.Config, "an arrow key or the like was pressed, which is no part of a password", "type it again")
	}
	return secret.Secret(typed), checkUTF8(typed)
}

// sentences are an error and what to do about it.
func sentences(err error) string {
	if hint := fault.Hint(err); hint != "" {
		return err.Error() + "\n  " + hint
	}
	return err.Error()
}
