package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// script is one parsed file of testdata.
type script struct {
	name  string
	files map[string]string // with CRLF
	steps []step
}

// step is one line in the first column and the answers below it.
type step struct {
	line    int
	verb    verb
	session string
	text    string   // what is sent
	args    []string // of the verbs that are words
	blocks  []block  // the RFC's first, then those of single servers
}

type verb uint8

const (
	command verb = iota // A:
	raw                 // A>
	wait                // A<
	connect
	startTLS
	deliver
	needs
	without
	notFor
	pause
)

var serverNames = []string{"dovecot", "popbridge"}

// block is what one server, or every server, answers to a step.
type block struct {
	server string // empty: the RFC's
	reason string
	items  []item
}

// item is one line of a block, or a group of them.
type item struct {
	any      bool           // …
	optional bool           // ?
	regex    *regexp.Regexp // /…/
	want     string         // a response
	group    []item         // in any order
}

func (s *script) commands() int {
	n := 0
	for _, st := range s.steps {
		if st.verb == command {
			n++
		}
	}
	return n
}

func (s *script) pauses() bool {
	return slices.ContainsFunc(s.steps, func(st step) bool { return st.verb == pause })
}

var (
	toSession = regexp.MustCompile(`^([A-Z])([:><])(?: (.*))?$`)
	toServer  = regexp.MustCompile(`^!(\S+) (.+)$`)
)

func parseScript(name string, text []byte) (*script, error) {
	archive := txtar.Parse(text)
	s := &script{name: name, files: make(map[string]string)}
	for _, f := range archive.Files {
		s.files[f.Name] = strings.ReplaceAll(string(f.Data), "\n", "\r\n")
	}
	lines := strings.Split(string(archive.Comment), "\n")
	for i := 0; i < len(lines); {
		if lines[i] == "" || lines[i][0] == '#' {
			i++
			continue
		}
		st, err := parseStep(lines[i])
		if err != nil {
			return nil, fmt.Errorf("%s.txt:%d: %w", name, i+1, err)
		}
		st.line = i + 1
		from := i + 1
		for i = from; i < len(lines) && (strings.HasPrefix(lines[i], " ") || insideAnswer(lines, i)); {
			i++
		}
		if st.blocks, err = parseBlocks(lines[from:i]); err != nil {
			return nil, fmt.Errorf("%s.txt:%d: %w", name, st.line, err)
		}
		s.steps = append(s.steps, st)
	}
	return s, nil
}

// insideAnswer reports whether line i is an empty line of a literal.
func insideAnswer(lines []string, i int) bool {
	return lines[i] == "" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], " ")
}

func parseStep(line string) (step, error) {
	if m := toSession.FindStringSubmatch(line); m != nil {
		st := step{session: m[1], verb: map[string]verb{":": command, ">": raw, "<": wait}[m[2]], text: m[3]}
		if st.verb == raw && len(st.text) > 1 && st.text[0] == '"' && strings.HasSuffix(st.text, `"`) {
			bytes, err := strconv.Unquote(st.text)
			st.text = bytes
			return st, err
		}
		if st.verb == raw {
			st.text += "\r\n"
		}
		return st, nil
	}
	words := strings.Fields(line)
	st := step{args: words[1:]}
	switch {
	case words[0] == "deliver" && len(words) > 2:
		st.verb = deliver
	case words[0] == "needs" && len(words) > 1:
		st.verb = needs
	case words[0] == "without" && len(words) > 1:
		st.verb = without
	case line == "pause":
		st.verb = pause
	case words[0] == "not" && len(words) > 2 && slices.Contains(serverNames, words[1]):
		st.verb = notFor
	case words[0] == "connect" && len(words) > 1:
		st.verb, st.session = connect, words[1]
	case words[0] == "tls" && len(words) == 2:
		st.verb, st.session = startTLS, words[1]
	default:
		return st, fmt.Errorf("not a step: %s", line)
	}
	return st, nil
}

// parseBlocks parses the answers below a step.
func parseBlocks(lines []string) ([]block, error) {
	blocks := []block{{}}
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], " ")
	}
	var group *item
	for len(lines) > 0 {
		b := &blocks[len(blocks)-1]
		line := lines[0]
		switch m := toServer.FindStringSubmatch(line); {
		case m != nil:
			if !slices.Contains(serverNames, m[1]) {
				return nil, fmt.Errorf("no such server: %s", m[1])
			}
			blocks = append(blocks, block{server: m[1], reason: m[2]})
		case line == "{" && group == nil:
			group = &item{group: []item{}}
		case line == "}" && group != nil:
			b.items = append(b.items, *group)
			group = nil
		default:
			it, n, err := parseItem(lines)
			if err != nil {
				return nil, err
			}
			if group != nil {
				group.group = append(group.group, it)
			} else {
				b.items = append(b.items, it)
			}
			lines = lines[n:]
			continue
		}
		lines = lines[1:]
	}
	if group != nil {
		return nil, fmt.Errorf("a group without end")
	}
	return blocks, nil
}

var literalAtEnd = regexp.MustCompile(`\{(\d+)\}$`)

// parseItem parses one response and returns how many lines it takes.
func parseItem(lines []string) (it item, n int, err error) {
	text := lines[0]
	if text, it.optional = strings.CutPrefix(text, "? "); text == "…" {
		it.any = true
		return it, 1, nil
	}
	if len(text) > 2 && text[0] == '/' && strings.HasSuffix(text, "/") {
		it.regex, err = regexp.Compile("(?s)" + text[1:len(text)-1])
		return it, 1, err
	}
	for n = 1; ; {
		m := literalAtEnd.FindStringSubmatch(text)
		if m == nil {
			it.want = text
			return it, n, nil
		}
		size, err := strconv.Atoi(m[1])
		if err != nil {
			return it, n, err
		}
		end := len(text) + len("\r\n") + size
		for len(text) < end && n < len(lines) {
			text += "\r\n" + lines[n]
			n++
		}
		if len(text)+len("\r\n") == end { // the literal ends with a line
			text += "\r\n"
			if n < len(lines) {
				text += lines[n]
				n++
			}
		}
		if len(text) < end {
			return it, n, fmt.Errorf("a literal of %d bytes has less: %q", size, text)
		}
		if rest := text[end:]; literalAtEnd.MatchString(rest) {
			continue
		}
		it.want = text
		return it, n, nil
	}
}
