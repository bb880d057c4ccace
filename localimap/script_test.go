package localimap

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestScripts runs the transcripts in testdata: one file per command, several
// sessions in each.
//
//	deliver INBOX \Seen,$Work one.eml two.eml   puts messages into the store
//	A: NOOP              session A sends the line with a tag
//	A> DONE              session A sends the line as it is
//	 * 1 EXISTS          the next line that the session of the line above gets
//	 OK [READ-WRITE]     the tagged response starts so
//	 …                   any number of lines, up to the one that follows
//	A< * 2 EXISTS        the next line that session A gets, now or soon
//
// In an expected line … stands for any text. Sessions A to F are logged in as
// they first appear, R with a device that may only read, X to Z not at all.
// {name} at the end of a sent line is the literal of that file of the archive.
// Each session must have got exactly what is written.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{rig: newRig(t), t: t, file: file, files: make(map[string]string), peers: make(map[string]*peer)}
			for _, f := range archive.Files {
				s.files[f.Name] = strings.ReplaceAll(string(f.Data), "\n", "\r\n")
			}
			s.run(string(archive.Comment))
		})
	}
}

type script struct {
	*rig
	t     *testing.T
	file  string
	line  int
	files map[string]string
	peers map[string]*peer
}

// peer is one session of a script.
type peer struct {
	name string
	conn net.Conn
	r    *bufio.Reader
	tags int
}

var (
	sent     = regexp.MustCompile(`^([A-Z])([:><]) ?(.*)$`)
	literals = regexp.MustCompile(`\{(\S*[a-z]\S*)\}$`)
)

func (s *script) run(text string) {
	var current *peer
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		s.line = i + 1
		line := lines[i]
		switch m := sent.FindStringSubmatch(line); {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "deliver "):
			s.deliverFiles(strings.Fields(line)[1:])
		case line[0] == ' ' && line == " …":
			s.skipTo(current, lines[i+1][1:])
			i++
		case line[0] == ' ':
			s.expect(current, line[1:])
		case m == nil:
			s.fatalf("not a line of a script: %s", line)
		default:
			current = s.peer(m[1])
			switch m[2] {
			case ":":
				current.tags++
				s.send(current, fmt.Sprintf("%s%d %s", m[1], current.tags, m[3]))
			case ">":
				s.send(current, m[3])
			case "<":
				s.expect(current, m[3])
			}
		}
	}
	s.finish()
}

func (s *script) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
}

func (s *script) deliverFiles(words []string) {
	var flags, raw []string
	mailbox, words := words[0], words[1:]
	if len(words) > 0 && (words[0][0] == '\\' || words[0][0] == '$') {
		flags, words = strings.Split(words[0], ","), words[1:]
	}
	for _, name := range words {
		text, ok := s.files[name]
		if !ok {
			s.fatalf("no file %s", name)
		}
		raw = append(raw, text)
	}
	s.deliver(mailbox, flags, raw...)
}

// peer returns a session, connecting it where it is new.
func (s *script) peer(name string) *peer {
	if p, ok := s.peers[name]; ok {
		return p
	}
	c := s.dial()
	p := &peer{name: name, conn: c, r: bufio.NewReaderSize(c, 1<<20)}
	s.peers[name] = p
	s.expect(p, "* OK [CAPABILITY …")
	password := map[bool]string{false: "pw", true: "pw-read"}[name == "R"]
	if name < "X" {
		s.send(p, name+"0 LOGIN joe "+password)
		s.expect(p, name+"0 OK …")
	}
	return p
}

func (s *script) send(p *peer, line string) {
	body, hasLiteral := "", false
	if m := literals.FindStringSubmatch(line); m != nil {
		if body, hasLiteral = s.files[m[1]]; !hasLiteral {
			s.fatalf("no file %s", m[1])
		}
		line = strings.TrimSuffix(line, m[0]) + fmt.Sprintf("{%d}", len(body))
	}
	s.write(p, line+"\r\n")
	if hasLiteral {
		s.expect(p, "+ …")
		s.write(p, body+"\r\n")
	}
}

func (s *script) write(p *peer, text string) {
	if _, err := p.conn.Write([]byte(text)); err != nil {
		s.fatalf("%s: %v", p.name, err)
	}
}

func (s *script) read(p *peer) string {
	s.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := p.r.ReadString('\n')
	if err != nil {
		return fmt.Sprintf("%s(%v)", line, err)
	}
	return strings.TrimRight(line, "\r\n")
}

// expect reads one line and compares it.
func (s *script) expect(p *peer, want string) {
	s.t.Helper()
	if got := s.read(p); !matchLine(p, want, got) {
		s.fatalf("%s got:  %q\n\t\twant: %q", p.name, got, want)
	}
}

func (s *script) skipTo(p *peer, want string) {
	s.t.Helper()
	var passed bytes.Buffer
	for range 10000 {
		got := s.read(p)
		if matchLine(p, want, got) {
			return
		}
		fmt.Fprintf(&passed, "\t%s\n", got)
		if strings.HasSuffix(got, ")") && strings.Contains(got, "EOF") || strings.Contains(got, "timeout") {
			break
		}
	}
	s.fatalf("%s never got %q, but\n%s", p.name, want, passed.String())
}

var tagged = regexp.MustCompile(`^(OK|NO|BAD)\b`)

func matchLine(p *peer, want, got string) bool {
	if tagged.MatchString(want) {
		want = fmt.Sprintf("%s%d %s…", p.name, p.tags, want)
	}
	if want == "EOF" {
		return got == "(EOF)" || strings.Contains(got, "reset by peer")
	}
	parts := strings.Split(want, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(got)
}

// finish logs out: nothing may have been left unread.
func (s *script) finish() {
	for _, name := range []string{"A", "B", "C", "D", "E", "F", "R", "X", "Y", "Z"} {
		p, ok := s.peers[name]
		if !ok {
			continue
		}
		if _, err := p.conn.Write([]byte(name + "end LOGOUT\r\n")); err != nil {
			continue // the script has ended the connection
		}
		if got := s.read(p); !strings.HasPrefix(got, "* BYE") && !strings.HasPrefix(got, "(") {
			s.fatalf("%s got at the end: %q", p.name, got)
		}
	}
}
