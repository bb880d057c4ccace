package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/popbridge/popbridge/internal/fault"
)

// AddAccount returns the text of a config with one account more, at its end; without
// settings the text as it is, if it could have one.
func AddAccount(data []byte, settings []Setting) ([]byte, error) {
	if _, err := accountTexts(data); err != nil || settings == nil {
		return data, err
	}
	if err := checkSettings(settings); err != nil {
		return nil, err
	}
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
	return data, nil
}

// SetAccount returns the text of a config with these keys of an account changed,
// and all else as it was: comments, order, spaces, ends of lines. A key that goes
// leaves its lines as a comment where there is one on them, which may say why it was.
func SetAccount(data []byte, name string, settings []Setting) ([]byte, error) {
	if err := checkSettings(settings); err != nil {
		return nil, err
	}
	for _, s := range settings {
		a, err := findAccount(data, name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(a.pairs, func(p pair) bool { return p.key == s.Key })
		switch {
		case i >= 0 && s.Value == "":
			from, to := a.pairs[i].line, nextLine(data, a.pairs[i].end)
			data = splice(data, from, to, commented(data[from:to], a.pairs[i].value-from))
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
	start, end := a.comments, nextLine(data, a.last)
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
	comments   int // the start of the comments right above it
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
	floor := shift                             // the line below the last key or table: what is above it is no comment
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
			value := valueStart(data, last)
			end := valueEnd(data, value)
			floor = nextLine(data, end)
			if inside {
				accounts[len(accounts)-1].last = end
			}
			switch {
			case root && keys[0] == "account":
				return nil, fault.New(fault.Config, "the accounts of this config are not written as tables [[account]]", "change the file by hand, or write them so: a line [[account]] for each, its keys below")
			case direct && len(keys) == 1:
				a := &accounts[len(accounts)-1]
				a.pairs = append(a.pairs, pair{keys[0], line, value, end})
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
			accounts[len(accounts)-1].end = above(data, line, floor)
		}
		if direct {
			accounts = append(accounts, accountText{comments: above(data, line, floor), start: line, end: len(data)})
		}
		floor = nextLine(data, last)
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
