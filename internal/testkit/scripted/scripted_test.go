package scripted

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// complaints is a test whose failures are looked at.
type complaints struct {
	testing.TB
	texts []string
}

func (c *complaints) Error(args ...any) { c.texts = append(c.texts, fmt.Sprint(args...)) }
func (c *complaints) Errorf(f string, args ...any) {
	c.texts = append(c.texts, fmt.Sprintf(f, args...))
}

func TestClientThatDiffersFromTheScriptFails(t *testing.T) {
	for name, tt := range map[string]struct{ script, client, want string }{
		"right":         {"C: QUIT\nS: +OK\n", "QUIT\r\n", ""},
		"another line":  {"C: QUIT\n", "NOOP\r\n", `want C: QUIT, the client sent "NOOP"`},
		"expression":    {"C~ US.R [a-z]+\nC*\n", "USER ann\r\n\r\n", ""},
		"no match":      {"C~ [a-z]+\n", "ann1\r\n", "the client sent"},
		"a message":     {"C.\nC: QUIT\n", "a\r\n..\r\nb\n.\r\nQUIT\r\n", ""},
		"no end":        {"C.\n", "a\r\n.\n", "want the end of a message"},
		"bare LF":       {"C: QUIT\n", "QUIT\n", "without CR"},
		"left early":    {"C: USER\nC: QUIT\n", "USER\r\n", "want C: QUIT"},
		"said more":     {"C: QUIT\n", "QUIT\r\nNOOP\r\n", "after the script"},
		"not connected": {"C: QUIT\n@connection\nC: QUIT\n", "QUIT\r\n", "1 scripted connections"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &complaints{TB: t}
			s := New(c, tt.script)
			conn, _ := s.Dial(context.Background(), "", "")
			_, _ = conn.Write([]byte(tt.client))
			_ = conn.Close() // what was written is still read
			s.wg.Wait()
			s.Close()
			if got := strings.Join(c.texts, "\n"); (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("complained: %s", got)
			}
		})
	}
}

func TestOneConnectionTooMany(t *testing.T) {
	c := &complaints{TB: t}
	s := New(c, "@stall\n")
	first, _ := s.Dial(context.Background(), "", "")
	second, _ := s.Dial(context.Background(), "", "")
	if _, err := second.Read(make([]byte, 1)); err != io.EOF || len(c.texts) != 1 {
		t.Errorf("%v, complained: %s", err, c.texts)
	}
	_ = first.Close()
}

func TestWaitAndSplit(t *testing.T) {
	s := New(t, "S: one\n@wait go\n@split 2\nS: two\n@split 0\nS\" a\\n\n@packet\nS\" b\n")
	conn, _ := s.Dial(context.Background(), "", "")
	defer conn.Close()
	buf := make([]byte, 10)
	for i, want := range []string{"one\r\n", "tw", "o\r", "\n", "a\n", "b"} {
		if n, err := conn.Read(buf); string(buf[:n]) != want || err != nil {
			t.Errorf("packet %d: %q, %v", i, buf[:n], err)
		}
		if i == 0 {
			s.Release("go")
		}
	}
}

func TestBadScripts(t *testing.T) {
	for _, script := range []string{"X: y", "@nonsense", `S" \q`, "C~ (", "S"} {
		if _, err := parse("\n# comment\n" + script); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestPipeIsALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(25 * time.Millisecond)
		start := time.Now()
		_, _ = a.Write([]byte("hello"))
		_, _ = a.Write([]byte("world"))
		buf := make([]byte, 100)
		_ = b.SetDeadline(start.Add(10 * time.Millisecond))
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		_ = b.SetDeadline(time.Time{})
		if n, err := b.Read(buf); n != 5 || err != nil || time.Since(start) != 25*time.Millisecond {
			t.Errorf("%d bytes, %v after %v", n, err, time.Since(start))
		}
		_ = a.Close()
		if rest, err := io.ReadAll(b); string(rest) != "world" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		if _, err := b.Write(buf); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		_ = b.Close()
		if _, err := b.Read(buf); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
