package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFile is the largest configuration file that is read, in bytes.
const maxFile = 1 << 20

// schema lists the keys of every table. Whatever is not in it is unknown.
var schema = map[string][]string{
	"":     slices.Concat([]string{"version"}, names(""), []string{"imap", "smtp", "lan", "web", "log", "oauth", "account"}),
	"imap": names("imap"),
	"smtp": names("smtp"),
	"lan":  names("lan"),
	"web":  names("web"),
	"log":  names("log"),
	"account": {"name", "host", "port", "tls", "username", "password_file", "password_command", "auth", "oauth", "ca_file", "tls_pin", "tls_minimum",
		"poll_every", "keep_on_server", "quota", "confirm_deletes", "shadow", "paused", "delete_on_server", "delete_grace", "user", "folder", "max_message_size", "address", "addresses", "send"},
	"oauth": {"provider", "client_id", "client_secret_file", "tenant", "authorize_url", "token_url", "device_url", "redirect", "scopes", "resource", "pkce"},
	"send":  {"host", "port", "tls", "username", "password_file", "password_command", "auth", "oauth", "tls_pin"},
}

// mistake is a Problem that does not yet know where it is.
type mistake struct{ text, hint string }

// document is a file that is TOML, with the lines of its keys, and the problems
// found in it so far.
type document struct {
	root     map[string]any
	lines    map[string]int // by path, as in Problem.Key
	problems []Problem
}

// table is one table of a document.
type table struct {
	doc    *document
	kind   string // its name in schema
	path   string // how problems call it: "", "imap", "account[2]"
	line   int
	values map[string]any
}

// parse reads TOML. A syntax error is a single problem: what follows it cannot
// be understood.
func parse(data []byte) (*document, *Problem) {
	if len(data) > maxFile {
		return nil, &Problem{Text: fmt.Sprintf("the file is larger than %d bytes", maxFile), Hint: "this is hardly a popbridge configuration; see --config"}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // Windows Notepad writes one
	if i := invalidUTF8(data); i >= 0 {
		return nil, &Problem{Line: 1 + bytes.Count(data[:i], []byte("\n")), Text: "the file is not UTF-8", Hint: "save it with the encoding UTF-8"}
	}
	doc := &document{lines: map[string]int{}}
	if err := toml.Unmarshal(data, &doc.root); err != nil {
		return nil, syntaxProblem(data, err)
	}
	doc.locate(data)
	return doc, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 || r == 0 {
			return i
		}
		i += n
	}
	return -1
}

// syntaxProblem keeps the parser's position, and its words unless they could
// show a part of a secret.
func syntaxProblem(data []byte, err error) *Problem {
	p := &Problem{Text: strings.TrimPrefix(err.Error(), "toml: ")}
	de, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		return p
	}
	p.Line, _ = de.Position()
	lines := bytes.Split(data, []byte("\n"))
	if p.Line < 1 || p.Line > len(lines) {
		return p
	}
	line := string(lines[p.Line-1])
	key, value, _ := strings.Cut(line, "=")
	if key = strings.TrimSpace(key); isSecretKey(key) {
		p.Text, p.Hint = secretMistake.text, secretMistake.hint
		return p
	}
	value, _, _ = strings.Cut(value, "#")
	p.Hint = syntaxHint(p.Text, strings.TrimSpace(line), key, strings.TrimSpace(value))
	switch { // what the parser says of these is hard to understand
	case strings.HasPrefix(p.Hint, hintQuotes):
		p.Text = "the value is text without quotes"
	case p.Hint == hintStraight:
		p.Text = "the quotes are curly ones"
	case p.Hint == hintBackslash:
		p.Text = `a backslash inside "..." has a meaning of its own`
	}
	return p
}

const (
	hintQuotes    = "text is written in quotes"
	hintStraight  = `quotes must be straight ones: "..."`
	hintBackslash = `inside "..." a backslash is written twice; inside '...' once`
)

var (
	yaml     = regexp.MustCompile(`^([a-z_]+):\s`)
	bareWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 %.:@_/+-]*$`)
)

// syntaxHint recognises what is often written instead of TOML. said is what the
// parser says.
func syntaxHint(said, line, key, value string) string {
	quoted := func(word string) string { return fmt.Sprintf(`%s: %s = "%s"`, hintQuotes, key, word) }
	switch {
	case strings.ContainsAny(value, "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"):
		return hintStraight
	case yaml.MatchString(line) && !strings.Contains(line, "="):
		return fmt.Sprintf(`write "%s = ..."`, yaml.FindStringSubmatch(line)[1])
	case strings.Contains(said, "table") && strings.Contains(said, "already"):
		return "keep one line with that name in brackets, and put all of its keys below it"
	case strings.Contains(said, "after array value") && !strings.HasPrefix(value, "["):
		return "a list ends with ]; look at the line before as well"
	case strings.HasPrefix(line, "["):
		return "a table is written as a line [imap] or [[account]]"
	case strings.HasPrefix(value, `"`) && strings.Contains(value, `\`):
		return hintBackslash
	case strings.EqualFold(value, "true") || strings.EqualFold(value, "false") || strings.EqualFold(value, "yes") || strings.EqualFold(value, "no"):
		return "true and false are written in lower case, without quotes"
	case strings.HasPrefix(value, "["):
		return fmt.Sprintf(`text in a list is written in quotes, with commas between: %s = ["...", "..."]`, key)
	case strings.Contains(said, "already"):
		return "keep one of the two"
	case bareWord.MatchString(value) && inSchema(key):
		return quoted(value)
	case value != "" && !strings.ContainsAny(value[:1], `"'{`):
		return quoted("...")
	}
	return ""
}

func inSchema(key string) bool {
	for _, keys := range schema {
		if slices.Contains(keys, key) {
			return true
		}
	}
	return false
}

// locate notes the line of every key and table.
func (d *document) locate(data []byte) {
	var newlines []int
	for i, c := range data {
		if c == '\n' {
			newlines = append(newlines, i)
		}
	}
	line := func(n *unstable.Node) int {
		i, _ := slices.BinarySearch(newlines, int(n.Raw.Offset))
		return i + 1
	}
	var p unstable.Parser
	p.Reset(data)
	prefix, arrays := "", map[string]int{}
	for p.NextExpression() {
		n := p.Expression()
		switch n.Kind {
		case unstable.Table:
			prefix = d.locateKey("", n.Key(), line, arrays)
		case unstable.ArrayTable:
			key := d.locateKey("", n.Key(), line, nil)
			arrays[key]++
			prefix = fmt.Sprintf("%s[%d]", key, arrays[key])
			d.lines[prefix] = d.lines[key]
		case unstable.KeyValue:
			d.locatePair(prefix, n, line)
		}
	}
}

// locateKey notes the line of a dotted key and returns its path. Parts that
// name an array of tables mean its last element so far.
func (d *document) locateKey(prefix string, key unstable.Iterator, line func(*unstable.Node) int, arrays map[string]int) string {
	for key.Next() {
		prefix = joinKey(prefix, string(key.Node().Data))
		d.lines[prefix] = line(key.Node())
		if n := arrays[prefix]; n > 0 {
			prefix = fmt.Sprintf("%s[%d]", prefix, n)
		}
	}
	return prefix
}

func (d *document) locatePair(prefix string, n *unstable.Node, line func(*unstable.Node) int) {
	path := d.locateKey(prefix, n.Key(), line, nil)
	d.locateValue(path, n.Value(), line)
}

func (d *document) locateValue(path string, v *unstable.Node, line func(*unstable.Node) int) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			d.locatePair(path, it.Node(), line)
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			i++
			element := fmt.Sprintf("%s[%d]", path, i)
			d.lines[element] = d.lines[path]
			if it.Node().Raw.Length > 0 { // only scalars have a position of their own
				d.lines[element] = line(it.Node())
			}
			d.locateValue(element, it.Node(), line)
		}
	}
}

// joinKey appends a key to a path; one that is not a bare key is quoted, so
// that a path says one thing only.
func joinKey(path, key string) string {
	bare := key != "" && strings.IndexFunc(key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}) < 0
	if !bare {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
