package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// whole is a session in which all goes well; bodyOf is its message.
func whole(extensions ...string) string {
	return smtptest.Hello(extensions...) + smtptest.Login() + smtptest.Envelope(ann, bob, cat) +
		"C: DATA\nS: 354 go ahead\nC: Subject: a\nC: \nC: ..\nC: .\nS: 250 2.0.0 queued\n" + smtptest.Quit
}

const bodyOf = "Subject: a\r\n\r\n.\r\n"

// stop is how far a session came and what ended it.
type stop struct {
	out      Outcome
	err      error // the first one
	finished bool  // Send came to an end without an error
	sent     string
}

// play goes from Dial to Quit.
func play(ctx context.Context, script string, change func(*Config), opts ...scripted.Option) (s stop) {
	return playOn(ctx, scripted.New(tb(ctx), script, append(opts, scripted.Lenient())...), change)
}

func playOn(ctx context.Context, server *scripted.Server, change func(*Config)) (s stop) {
	conn := &recorder{}
	cfg := Config{Host: "mail.example.com", Security: Plain, Dialer: conn.dialer(server)}
	if change != nil {
		change(&cfg)
	}
	defer func() { s.sent = conn.sent() }()
	c, err := Dial(ctx, cfg)
	if err != nil {
		s.err = err
		return s
	}
	defer c.Close()
	if s.err = c.Login(ctx, credentials); s.err != nil {
		return s
	}
	// Before the final dot everything that the server says by then has arrived.
	arrived := func(context.Context, []Reply) error { wait(ctx); return nil }
	s.out, s.err = c.Send(ctx, Envelope{From: ann, To: []string{bob, cat}}, strings.NewReader(bodyOf), arrived)
	if s.err != nil {
		return s
	}
	s.finished = true
	s.err = c.Quit(ctx)
	return s
}

type tbKey struct{}

// bubble runs f where time is virtual, with a context that knows the test.
func bubble(t *testing.T, f func(t *testing.T, ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) { f(t, context.WithValue(t.Context(), tbKey{}, t)) })
}

func tb(ctx context.Context) *testing.T { return ctx.Value(tbKey{}).(*testing.T) }

func wait(context.Context) { synctest.Wait() }

// check holds what always holds: the phase is AfterDot only if the dot left, and the
// message is taken only if the server said so after that.
func (s stop) check(t *testing.T) {
	t.Helper()
	dot := strings.Contains(s.sent, "\r\n.\r\n")
	if dot != (s.out.Phase >= AfterDot) {
		t.Errorf("phase %v, sent %q", s.out.Phase, s.sent)
	}
	if (s.out.Phase == Answered) != (s.out.Final.Code != 0) {
		t.Errorf("phase %v, final %v", s.out.Phase, s.out.Final)
	}
	if s.finished && s.out.Phase != Answered && s.out.Phase != Rcpt {
		t.Errorf("finished in phase %v", s.out.Phase)
	}
	if s.err != nil && fault.Hint(s.err) == "" {
		t.Errorf("no hint: %v", s.err)
	}
	if s.err != nil && strings.ContainsAny(s.err.Error(), "\r\n\x00\x1b") {
		t.Errorf("raw text of the server in %q", s.err)
	}
	if strings.Contains(fmt.Sprint(s.err, s.out), credentials.Secret) {
		t.Errorf("the secret in %v, %v", s.err, s.out)
	}
}

// place is where a server says something in a session.
type place struct {
	reply  string
	first  bool // the greeting
	inside bool // not the first line of a reply
	final  bool // the answer to the final dot
	last   bool // the answer to QUIT
}

// places are those of a script, with what comes before them.
func places(script string) (all []place, before []string) {
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		reply, ok := strings.CutPrefix(line, "S: ")
		if !ok {
			continue
		}
		all = append(all, place{reply: reply, first: i == 0, final: strings.Contains(reply, "queued"), last: strings.Contains(reply, "bye"),
			inside: i > 0 && strings.HasPrefix(lines[i-1], "S: 250-")})
		before = append(before, strings.Join(lines[:i], "\n")+"\n")
	}
	return all, before
}

// atEachReply plays a whole session once for each place where the server says
// something, with what change makes of it instead.
func atEachReply(t *testing.T, change func(reply string) string, check func(t *testing.T, s stop, p place)) {
	for _, extensions := range [][]string{nil, {"PIPELINING"}} {
		all, before := places(whole(extensions...))
		if len(all) != 12+len(extensions) {
			t.Fatalf("%d places", len(all))
		}
		for i, p := range all {
			t.Run(fmt.Sprintf("%v/%d %s", extensions, i, p.reply), func(t *testing.T) {
				bubble(t, func(t *testing.T, ctx context.Context) {
					s := play(ctx, before[i]+change(p.reply)+"\n", nil)
					s.check(t)
					check(t, s, p)
				})
			})
		}
	}
}

func TestCutAtEachStep(t *testing.T) {
	for name, ending := range map[string]func(string) string{
		"closed before":  func(string) string { return "@close" },
		"reset before":   func(string) string { return "@cut" },
		"closed within":  func(reply string) string { return `S" ` + reply[:len(reply)/2] + "\n@close" },
		"no line end":    func(reply string) string { return `S" ` + reply + "\n@close" },
		"CR only":        func(reply string) string { return `S" ` + reply + "\\r\n@close" },
		"more to follow": func(reply string) string { return "S: " + reply[:3] + "-" + reply[4:] + "\n@close" },
	} {
		t.Run(name, func(t *testing.T) {
			atEachReply(t, ending, func(t *testing.T, s stop, p place) {
				switch {
				case p.last:
					if s.out.Phase != Answered {
						t.Errorf("%v", s.out)
					}
				case s.finished || s.out.Phase == Answered || !fault.Is(s.err, fault.Temporary):
					t.Errorf("%+v, %v", s.out, s.err)
				case p.final && s.out.Phase != AfterDot:
					t.Errorf("cut after the dot: %v", s.out.Phase)
				}
			})
		})
	}
}

// TestCutWithinTheFinalReply: only the whole of it counts.
func TestCutWithinTheFinalReply(t *testing.T) {
	const reply = "250-2.0.0 first\r\n250-2.0.0 next\r\n250 2.0.0 last\r\n"
	before, _, _ := strings.Cut(whole(), "S: 250 2.0.0 queued")
	for n := range len(reply) + 1 {
		for _, end := range []string{"@close", "@cut"} {
			bubble(t, func(t *testing.T, ctx context.Context) {
				s := play(ctx, fmt.Sprintf("%sS\" %s\n@packet\n%s\n", before, strings.Trim(fmt.Sprintf("%q", reply[:n]), `"`), end), nil)
				s.check(t)
				if end == "@close" && (s.out.Phase == Answered) != (n == len(reply)) || end == "@cut" && n < len(reply) && s.out.Phase != AfterDot {
					t.Errorf("%d bytes, %s: %v", n, end, s.out)
				}
			})
		}
	}
}

func Test421AtAnyMoment(t *testing.T) {
	for name, ending := range map[string]func(string) string{
		"instead": func(string) string { return "S: 421 4.3.2 bye\n@close" },
		"behind":  func(reply string) string { return "S: " + reply + "\nS: 421 4.3.2 bye\n@stall" },
	} {
		t.Run(name, func(t *testing.T) {
			atEachReply(t, ending, func(t *testing.T, s stop, p place) {
				refused, ok := errors.AsType[*ReplyError](s.err)
				switch {
				case p.final || p.last:
					if s.out.Phase != Answered || name == "instead" && p.final && (!s.finished || s.out.Final.Code != 421) {
						t.Errorf("%+v, %v", s.out, s.err)
					}
				case p.inside && name == "instead", strings.HasPrefix(p.reply, "250-") && name == "behind":
					if !fault.Is(s.err, fault.Protocol) {
						t.Errorf("%v", s.err)
					}
				case s.finished || s.out.Phase == Answered || !ok || refused.Code != 421 || !fault.Is(s.err, fault.Temporary):
					t.Errorf("%+v, %v", s.out, s.err)
				}
			})
		})
	}
}

func TestNonsenseInsteadOfAReply(t *testing.T) {
	for _, nonsense := range []string{
		``, `hello`, `25`, `2500 ok`, `999 ok`, `000 ok`, `199 ok`, `600 ok`, `250x`, `25 0`, `-250 ok`, `+OK`, `* OK`, ` 250 ok`,
		`\x00\x00\x00`, `250\x00ok`, `\u0662\u0665\u0660 ok`, `250-first\r\n251 second`, `250-first\r\nsecond`, `250-first\r\n550 second`, `100 go on`, `2+0 ok`,
	} {
		t.Run(nonsense, func(t *testing.T) {
			atEachReply(t, func(string) string { return `S" ` + nonsense + "\\r\\n\n@stall" }, func(t *testing.T, s stop, p place) {
				if p.last {
					return
				}
				if s.finished || s.out.Phase == Answered || !fault.Is(s.err, fault.Protocol) && !(p.first && fault.Is(s.err, fault.Config)) {
					t.Errorf("%+v, %v: %v", s.out, fault.KindOf(s.err), s.err)
				}
				if p.final && s.out.Phase != AfterDot {
					t.Errorf("%v", s.out.Phase)
				}
			})
		})
	}
}

// TestFloods: a reply without end costs neither memory nor time.
func TestFloods(t *testing.T) {
	for name, flood := range map[string]string{
		"endless line":  `S" 250 ` + strings.Repeat("x", 100<<10),
		"endless lines": strings.Repeat("S: 250-x\n", 300),
		"long lines":    strings.Repeat("S: 250-"+strings.Repeat("x", 5000)+"\n", 20),
		"empty lines":   strings.Repeat("S: 250-\n", 300),
		"NULs":          `S" 250-` + strings.Repeat(`\x00`, 70<<10) + `\r\n`,
	} {
		t.Run(name, func(t *testing.T) {
			atEachReply(t, func(reply string) string {
				return strings.ReplaceAll(flood, "250", reply[:3]) + "\n@stall"
			}, func(t *testing.T, s stop, p place) {
				if p.last {
					return
				}
				if s.finished || s.out.Phase == Answered || !fault.Is(s.err, fault.Protocol) {
					t.Errorf("%+v, %v", s.out, s.err)
				}
			})
		})
	}
}

// TestTheServerAnswersBeforeItIsAsked: nothing that comes before the final dot is
// taken for the answer to it.
func TestTheServerAnswersBeforeItIsAsked(t *testing.T) {
	before, _, _ := strings.Cut(whole(), "S: 354 go ahead")
	for name, tt := range map[string]struct {
		script string
		code   int // of a ReplyError
	}{
		"with the 354":           {"S: 354 go\nS: 250 2.0.0 queued\n@stall\n", 0},
		"in a packet of its own": {"S: 354 go\n@packet\nS: 250 2.0.0 queued\n@stall\n", 0},
		"in the message":         {"S: 354 go\nC: Subject: a\nS: 250 2.0.0 queued\n@stall\n", 0},
		"half of one":            {"S: 354 go\nC: Subject: a\nS\" 250 2.0.0 q\n@close\n", 0},
		"refused in the message": {"S: 354 go\nC: Subject: a\nS: 552 5.3.4 too large\n@stall\n", 552},
		"refused, then gone":     {"S: 354 go\nC: Subject: a\nS: 552 5.3.4 too large\n@close\n", 552},
		"421 in the message":     {"S: 354 go\nC: Subject: a\nS: 421 4.4.2 timeout\n@close\n", 421},
		"gone":                   {"S: 354 go\nC: Subject: a\n@close\n", 0},
		"reset":                  {"S: 354 go\nC: Subject: a\n@cut\n", 0},
		"twice 354":              {"S: 354 go\nS: 354 go\n@stall\n", 0},
		"instead of 354":         {"S: 250 2.0.0 queued\n@stall\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context) {
				s := play(ctx, before+tt.script, nil)
				s.check(t)
				refused, ok := errors.AsType[*ReplyError](s.err)
				if s.err == nil || s.out.Phase != Data || ok != (tt.code != 0) || ok && refused.Code != tt.code {
					t.Errorf("%+v, %v", s.out, s.err)
				}
			})
		})
	}
}

// TestADripIsNoAnswer: the time for the answer to the final dot is that for all of
// it.
func TestADripIsNoAnswer(t *testing.T) {
	before, _, _ := strings.Cut(whole(), "S: 250 2.0.0 queued")
	bubble(t, func(t *testing.T, ctx context.Context) {
		start := time.Now()
		s := play(ctx, before+strings.Repeat("S: 250-wait\n@pause 1m\n", 20), nil)
		s.check(t)
		if took := time.Since(start).Round(time.Second); s.out.Phase != AfterDot || !fault.Is(s.err, fault.Temporary) || took != 10*time.Minute {
			t.Errorf("%+v after %v: %v", s.out, took, s.err)
		}
	})
}

// TestAServerThatStopsReading: the time for a piece of the message is bounded, that
// for the message is not.
func TestAServerThatStopsReading(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		c, slow := throttled(t)
		start := time.Now()
		out, err := c.Send(ctx, Envelope{From: ann, To: []string{bob}}, io.LimitReader(lines{}, 1<<20), always)
		if took := time.Since(start); err != nil || out.Phase != Answered || took < 30*time.Minute {
			t.Errorf("slow: %+v after %v: %v", out, took, err)
		}
		close(slow)
		start = time.Now()
		out, err = c.Send(ctx, Envelope{From: ann, To: []string{bob}}, io.LimitReader(lines{}, 1<<20), always)
		if took := time.Since(start).Round(time.Minute); out.Phase != Data || !fault.Is(err, fault.Temporary) || took != 3*time.Minute {
			t.Errorf("stopped: %+v after %v: %v", out, took, err)
		}
		_ = c.Close()
	})
}
