package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// newTerminal returns both ends of a pseudo-terminal: what a person types goes into the
// first, the program reads the other.
func newTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there is no pseudo-terminal: ", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func shows(t *testing.T, terminal *os.File) bool {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Lflag&unix.ECHO != 0
}

// A password is asked for without showing it, and however that ends, what is typed
// afterwards is shown.
func TestPasswordAtATerminal(t *testing.T) {
	for typed, want := range map[string]string{
		"secret\n":                           "",
		" with blanks \n":                    "",
		"Löhne\n":                            "",
		"\n":                                 "the password is empty",
		"\x04":                               "there was no answer",
		"m\xfcller\n":                        "what was typed is not UTF-8 text",
		"a\x1b[D\n":                          "an arrow key or the like was pressed, which is no part of a password",
		strings.Repeat("x", maxTyped) + "\n": "the password is too long to be typed, and may have been cut off",
	} {
		person, program := newTerminal(t)
		hidden := false
		prompt := writerFunc(func(p []byte) (int, error) {
			if strings.HasPrefix(string(p), "Password of ann at pop.example.com: ") {
				hidden = !shows(t, program)
				if _, err := io.WriteString(person, typed); err != nil {
					t.Error(err)
				}
			}
			return len(p), nil
		})
		a := newApp(program, io.Discard, prompt)
		got, err := a.askPassword(t.Context(), config.Account{Name: "home", Username: "ann", Host: "pop.example.com"})
		switch {
		case want == "" && (err != nil || string(got) != strings.TrimSuffix(typed, "\n")):
			t.Errorf("%q: got %q, %v", typed, string(got), err)
		case want != "" && (err == nil || err.Error() != want || fault.Hint(err) == ""):
			t.Errorf("%q: %v, want %s", typed, err, want)
		}
		if !hidden || !shows(t, program) {
			t.Errorf("%q: hidden while it was asked for: %v, shown afterwards: %v", typed, hidden, shows(t, program))
		}
	}
}

func TestInterruptedPassword(t *testing.T) {
	_, program := newTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	a := newApp(program, io.Discard, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
	if _, err := a.askPassword(ctx, config.Account{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if !shows(t, program) {
		t.Error("what is typed stays hidden")
	}
}

// Each question takes its own line, also of what was typed or pasted ahead.
func TestQuestionsTakeALineEach(t *testing.T) {
	person, program := newTerminal(t)
	a := newApp(program, io.Discard, io.Discard)
	if _, err := io.WriteString(person, "\x1b[Dann\n ann \nperhaps\nJa\n\n\x04"); err != nil {
		t.Fatal(err)
	}
	if got, err := a.question(t.Context(), "Name: "); got != "ann" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if yes, err := a.yes(t.Context(), "Go on?", false); !yes || err != nil {
		t.Errorf("got %v, %v", yes, err)
	}
	if yes, err := a.yes(t.Context(), "Go on?", true); !yes || err != nil {
		t.Errorf("Enter alone: got %v, %v", yes, err)
	}
	if _, err := a.yes(t.Context(), "Go on?", true); !errors.Is(err, errNoAnswer) {
		t.Errorf("Ctrl-D: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
