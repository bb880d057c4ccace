package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/popbridge/popbridge/internal/fault"
)

// A Setting is a key of an account and its value as it stands in the file; without a
// value the key goes, and its default holds.
type Setting struct{ Key, Value string }

// Text is the setting of a key whose value is text.
func Text(key, value string) Setting { return Setting{key, tomlString(value)} }

// ParseSetting reads KEY=VALUE as a person types it: text needs no quotes, a list is
// written as in the file. What the value means is checked with the whole file.
func ParseSetting(s string) (Setting, error) {
	key, value, ok := strings.Cut(s, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !ok || key == "" {
		return Setting{}, fault.New(fault.Config, fault.Quote(s)+" is no setting", "write KEY=VALUE, such as poll_every=10m; KEY= alone goes back to the default")
	}
	if !slices.Contains(schema["account"], key) {
		return Setting{}, fault.New(fault.Config, "an account has no key "+fault.Quote(key), DidYouMean(key, schema["account"])+"the keys are: "+strings.Join(schema["account"], ", "))
	}
	if value == "" {
		return Setting{Key: key}, nil
	}
	if !bareKeys[key] && !(listKeys[key] && strings.HasPrefix(value, "[")) {
		return Text(key, value), nil
	}
	var alone map[string]any
	if err := toml.Unmarshal([]byte("x = "+value), &alone); err != nil || len(alone) != 1 || strings.ContainsAny(value, "\r\n#") {
		return Setting{}, fault.New(fault.Config, fault.Quote(value)+" is no value of "+key, "write a number, true or false without quotes, and a list as in the config, in one line and without #")
	}
	return Setting{key, value}, nil
}

// bareKeys are the keys of an account whose values have no quotes, listKeys those that
// may be lists.
var (
	bareKeys = map[string]bool{"port": true, "confirm_deletes": true, "shadow": true, "paused": true}
	listKeys = map[string]bool{"password_command": true, "tls_pin": true}
)

// tomlString writes text as TOML, a path of Windows so that it can be read.
func tomlString(s string) string {
	control := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	if strings.Contains(s, `\`) && !strings.Contains(s, "'") && !control {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// AddAccount returns the text of a config with one account more, at its end.
func AddAccount(data []byte, settings []Setting) []byte {
	end := lineEnd(data)
	data = slices.Clip(data)
	if len(bytes.TrimSpace(bytes.TrimPrefix(data, byteOrderMark))) == 0 {
		data = append(data, "version = 1"+end...)
	} else if !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, end...)
	}
	width := 0
	for _, s := range settings {
		width = max(width, len(s.Key))
	}
	data = append(data, end+"[[account]]"+end...)
	for _, s := range settings {
		data = fmt.Appendf(data, "%-*s = %s%s", width, s.Key, s.Value, end)
	}
	return data
}

// SetAccount returns the text of a config with these keys of an account changed,
// and all else as it was: comments, order, spaces, ends of lines.
func SetAccount(data []byte, name string, settings []Setting) ([]byte, error) {
	for _, s := range settings {
		a, err := findAccount(data, name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(a.pairs, func(p pair) bool { return p.key == s.Key })
		switch {
		case i >= 0 && s.Value == "":
			data = splice(data, a.pairs[i].line, nextLine(data, a.pairs[i].end), nil)
		case i >= 0:
			data = splice(data, a.pairs[i].value, a.pairs[i].end, []byte(s.Value))
		case s.Value != "":
			data = a.insert(data, s)
		}
		if s.Key == "name" {
			name = strings.Trim(s.Value, `"'`) // quotes are never part of a name
		}
	}
	return data, nil
}

// RemoveAccount returns the text of a config without an account, its comments
// included: those within, and those right above and below it.
func RemoveAccount(data []byte, name string) ([]byte, error) {
	a, err := findAccount(data, name)
	if err != nil {
		return nil, err
	}
	start, end := above(data, a.start), nextLine(data, a.last)
	for end < a.end && bytes.HasPrefix(bytes.TrimLeft(data[end:a.end], " \t"), []byte("#")) {
		end = nextLine(data, end) // what is right below belongs to it, too
	}
	if next := nextLine(data, end); end < a.end && len(bytes.TrimSpace(data[end:next])) == 0 {
		end = next
	}
	if before := bytes.TrimRight(data[:start], "\r\n"); end == len(data) && len(before) > 0 {
		start = nextLine(data, len(before)) // the end of the file has no blank lines
	}
	return splice(data, start, end, nil), nil
}

// accountText is where an account stands: offsets into the text of the file.
type accountText struct {
	name       string
	start, end int // of the line [[account]], and of the next table that is not part of it
	last       int // the end of its last key or table
	pairs      []pair
}

// pair is where a key and its value stand; end is that of the value.
type pair struct {
	key              string
	line, value, end int
}

func findAccount(data []byte, name string) (*accountText, error) {
	accounts, err := accountTexts(data)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range accounts {
		if accounts[i].name == name {
			return &accounts[i], nil
		}
		names = append(names, accounts[i].name)
	}
	return nil, fault.New(fault.NotFound, "there is no account "+fault.Quote(name)+" in the config", DidYouMean(name, names)+"`popbridge account list` shows them")
}

// accountTexts finds the accounts of a file that is TOML.
func accountTexts(data []byte) ([]accountText, error) {
	var p unstable.Parser
	p.Reset(bytes.TrimPrefix(data, byteOrderMark))
	shift := len(data) - len(bytes.TrimPrefix(data, byteOrderMark))
	var accounts []accountText
	root, inside, direct := true, false, false // no table; an account or a table of it; the account itself
	for p.NextExpression() {
		n := p.Expression()
		first, last := 0, 0
		var keys []string
		for it := n.Key(); it.Next(); {
			raw := it.Node().Raw
			if keys == nil {
				first = int(raw.Offset) + shift
			}
			last = int(raw.Offset+raw.Length) + shift
			keys = append(keys, string(it.Node().Data))
		}
		line := max(bytes.LastIndexByte(data[:first], '\n')+1, shift)
		if n.Kind == unstable.KeyValue {
			if inside {
				accounts[len(accounts)-1].last = valueEnd(data, valueStart(data, last))
			}
			switch {
			case root && keys[0] == "account":
				return nil, fault.New(fault.Config, "the accounts of this config are not written as tables [[account]]", "change the file by hand, or write them so")
			case direct && len(keys) == 1:
				a := &accounts[len(accounts)-1]
				value := valueStart(data, last)
				a.pairs = append(a.pairs, pair{keys[0], line, value, valueEnd(data, value)})
				if keys[0] == "name" {
					a.name = string(n.Value().Data)
				}
			}
			continue
		}
		root = false
		part := keys[0] == "account"
		direct = part && len(keys) == 1 && n.Kind == unstable.ArrayTable
		if inside && (direct || !part) {
			accounts[len(accounts)-1].end = above(data, line)
		}
		if direct {
			accounts = append(accounts, accountText{start: line, end: len(data)})
		}
		if part && len(accounts) > 0 {
			accounts[len(accounts)-1].last = last
		}
		inside = part
	}
	return accounts, p.Error()
}

// insert puts a setting below the last one of the account, with its equals sign
// below the one above.
func (a *accountText) insert(data []byte, s Setting) []byte {
	at, indent, width := nextLine(data, a.start), "", len(s.Key)
	if len(a.pairs) > 0 {
		last := a.pairs[len(a.pairs)-1]
		at = nextLine(data, last.end)
		text := string(data[last.line:last.value])
		indent = text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		width = strings.IndexByte(text, '=') - len(indent) - 1
	}
	end := lineEnd(data)
	line := fmt.Sprintf("%s%-*s = %s%s", indent, width, s.Key, s.Value, end)
	if at > 0 && data[at-1] != '\n' { // the last line of the file
		line = end + line
	}
	return splice(data, at, at, []byte(line))
}

var byteOrderMark = []byte("\ufeff")

// lineEnd is how the lines of a file end.
func lineEnd(data []byte) string {
	if i := bytes.IndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// above is the start of the comments right above a line, or that of the line.
func above(data []byte, line int) int {
	for line > 0 {
		before := bytes.LastIndexByte(data[:line-1], '\n') + 1
		if !bytes.HasPrefix(bytes.TrimLeft(data[before:line], " \t"), []byte("#")) {
			break
		}
		line = before
	}
	return line
}

// nextLine is the start of the line below that of an offset.
func nextLine(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(data)
}

// valueStart is where the value of a key that ends there starts.
func valueStart(data []byte, at int) int {
	for at < len(data) && strings.IndexByte(" \t=", data[at]) >= 0 {
		at++
	}
	return at
}

// valueEnd is the end of the value that starts there, in a file that is TOML.
func valueEnd(data []byte, at int) int {
	depth := 0
	for i := at; i < len(data); {
		switch c := data[i]; c {
		case '"', '\'':
			i = stringEnd(data, i)
		case '#':
			if depth == 0 {
				return at + len(bytes.TrimRight(data[at:i], " \t"))
			}
			i = nextLine(data, i)
		case '[', '{':
			depth++
			i++
		case ']', '}':
			depth--
			i++
		case '\r', '\n':
			if depth == 0 {
				return at + len(bytes.TrimRight(data[at:i], " \t"))
			}
			i++
		default:
			i++
		}
	}
	return at + len(bytes.TrimRight(data[at:], " \t\r\n"))
}

// stringEnd is the end of the string that starts there.
func stringEnd(data []byte, at int) int {
	quote := data[at : at+1]
	if three := bytes.Repeat(quote, 3); bytes.HasPrefix(data[at:], three) {
		quote = three
	}
	i := at + len(quote)
	for i < len(data) && !bytes.HasPrefix(data[i:], quote) {
		if data[i] == '\\' && quote[0] == '"' {
			i++
		}
		i++
	}
	i += len(quote)
	for len(quote) == 3 && i < len(data) && data[i] == quote[0] { // up to two more belong to the text
		i++
	}
	return min(i, len(data))
}

func splice(data []byte, from, to int, text []byte) []byte {
	return slices.Concat(data[:from], text, data[to:])
}
