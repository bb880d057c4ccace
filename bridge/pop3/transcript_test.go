package pop3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata")

// TestTranscripts plays each testdata/*.txtar: the server section is the script
// of scripted, the client section what is called, want what comes out of it.
// Whatever the packets are, it has to be the same.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	ca := testkit.CA(t, "pop.example.com")
	for _, file := range files {
		for _, split := range []int{0, 1, 7} {
			t.Run(fmt.Sprintf("%s/%d", strings.TrimSuffix(filepath.Base(file), ".txtar"), split), func(t *testing.T) {
				playTranscript(t, file, split, ca)
			})
		}
	}
}

func playTranscript(t *testing.T, file string, split int, ca *testkit.TLS) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, f := range archive.Files {
		sections[f.Name] = string(f.Data)
	}
	if strings.Contains(sections["config"], "whole packets") && split != 0 {
		return // about what comes in one packet
	}
	server := scripted.New(t, sections["server"], scripted.WithSplit(split), scripted.WithTLS(ca.ServerConfig))
	var trace bytes.Buffer
	s := &session{cfg: Config{
		Host: "pop.example.com", Security: Plain, Dialer: server.Dial,
		Trace: zerolog.New(&trace).Level(zerolog.TraceLevel),
	}}
	for line := range strings.Lines(sections["config"]) {
		s.configure(t, strings.Fields(line), ca)
	}
	for line := range strings.Lines(sections["client"]) {
		s.call(t, strings.TrimSpace(line))
	}
	if s.c != nil {
		_ = s.c.Close()
	}
	server.Close()
	got := s.out.String()
	if *update && split == 0 {
		for i := range archive.Files {
			if archive.Files[i].Name == "want" {
				archive.Files[i].Data = []byte(got)
			}
		}
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(sections["want"], got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, secret := range []string{"s3cret", "czNjcmV0", "Ym9keQ"} {
		if strings.Contains(trace.String(), secret) || strings.Contains(got, secret) {
			t.Errorf("%s was shown:\n%s%s", secret, trace.String(), got)
		}
	}
	if strings.Contains(trace.String(), "body of") {
		t.Errorf("content was logged:\n%s", trace.String())
	}
}

// session calls the client as the client section says and writes down what
// comes back.
type session struct {
	cfg Config
	c   *Client
	out strings.Builder
}

func (s *session) configure(t *testing.T, words []string, ca *testkit.TLS) {
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "tls":
		s.cfg.Security = map[string]Security{"implicit": Implicit, "starttls": StartTLS, "none": Plain}[words[1]]
		s.cfg.TLS = &tls.Config{RootCAs: ca.CertPool}
	case "window":
		s.cfg.Window.Count, _ = strconv.Atoi(words[1])
	case "bytes":
		s.cfg.Window.Bytes, _ = strconv.ParseInt(words[1], 10, 64)
	case "max":
		s.cfg.MaxMessage, _ = strconv.ParseInt(words[1], 10, 64)
	case "no-pipelining":
		s.cfg.NoPipelining = true
	case "whole":
	default:
		t.Fatalf("config %q", words)
	}
}

func (s *session) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *session) result(what string, err error) {
	if err == nil {
		s.say("%s: ok", what)
		return
	}
	s.say("%s: %s", what, describe(err))
}

// describe shows an error with its kind, its hint and the sentinels in it.
func describe(err error) string {
	text := fmt.Sprintf("%v: %v", fault.KindOf(err), err)
	for _, is := range []error{ErrInUse, ErrLoginDelay, ErrSessionLimit, ErrNoUIDL, ErrTooLarge, ErrPipelining, io.ErrUnexpectedEOF} {
		if errors.Is(err, is) {
			text += fmt.Sprintf(" (is: %v)", is)
		}
	}
	if hint := fault.Hint(err); hint != "" {
		text += "\n  hint: " + hint
	}
	return text
}

func (s *session) call(t *testing.T, line string) {
	ctx := context.Background()
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	switch verb, args := words[0], words[1:]; verb {
	case "dial":
		c, err := Dial(ctx, s.cfg)
		s.c = c
		s.result("dial", err)
	case "login", "login-apop", "login-token":
		method := map[string]Method{"login": MethodPassword, "login-apop": MethodAPOP, "login-token": MethodToken}[verb]
		s.result("login", s.c.Login(ctx, Credentials{args[0], args[1], method}))
	case "caps":
		caps := s.c.Capabilities()
		days, known := caps.Expire()
		s.say("caps: known=%v uidl=%v pipelining=%v delay=%v expire=%d,%v sasl=%v", caps.Known(), caps.Has("uidl"),
			caps.Pipelining(), caps.LoginDelay(), days, known, caps.Args("SASL"))
	case "stat":
		n, size, err := s.c.Stat(ctx)
		s.result(fmt.Sprintf("stat %d %d", n, size), err)
	case "list":
		n, err := s.c.List(ctx, func(num int, size int64) { s.say("  %d %d", num, size) })
		s.result(fmt.Sprintf("list, %d warnings", n), err)
	case "uidl":
		n, err := s.c.UIDL(ctx, func(num int, uidl string) { s.say("  %d %q", num, shorten(uidl)) })
		s.result(fmt.Sprintf("uidl, %d warnings", n), err)
	case "retr", "retr-skip", "retr-part", "retr-refuse":
		s.retr(ctx, verb, args)
	case "dele":
		done, err := s.c.Dele(ctx, atois(args), func(_ int, err error) { s.c.warn("%v", err) })
		s.result(fmt.Sprintf("dele %v", done), err)
	case "quit":
		s.result("quit", s.c.Quit(ctx))
	case "warnings":
		for _, w := range s.c.Warnings() {
			s.say("warning: %s", w)
		}
	default:
		t.Fatalf("client %q", line)
	}
}

func (s *session) retr(ctx context.Context, verb string, args []string) {
	var reqs []Request
	for _, arg := range args {
		num, size, _ := strings.Cut(arg, ":")
		req := Request{Num: atois([]string{num})[0]}
		req.Size, _ = strconv.ParseInt(size, 10, 64)
		reqs = append(reqs, req)
	}
	recv := func(num int, r io.Reader) error {
		switch verb {
		case "retr-skip":
			s.say("  %d skipped", num)
			return nil
		case "retr-refuse":
			s.say("  %d not wanted", num)
			return errors.New("disk full")
		case "retr-part":
			b := make([]byte, 5)
			_, err := io.ReadFull(r, b)
			s.say("  %d begins %q %v", num, b, err)
			return nil
		}
		b, err := io.ReadAll(r)
		if err != nil {
			s.say("  %d broken", num)
			return err
		}
		s.say("  %d %q", num, shorten(string(b)))
		return nil
	}
	failed := func(num int, err error) { s.say("  %d failed: %s", num, describe(err)) }
	s.result("retr", s.c.Retr(ctx, reqs, Check{}, recv, failed))
}

func shorten(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%s... %d bytes", s[:10], len(s))
	}
	return s
}

func atois(args []string) []int {
	var nums []int
	for _, arg := range args {
		n, _ := strconv.Atoi(arg)
		nums = append(nums, n)
	}
	return nums
}
