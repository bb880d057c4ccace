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
	return appendTable(data, "[[account]]", settings), nil
}

// appendTable writes a table and its keys at the end of a config.
func appendTable(data []byte, header string, settings []Setting) []byte {
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
	data = append(data, end+header+end...)
	for _, s := range settings {
		data = fmt.Appendf(data, "%-*s = %s%s", width, s.Key, s.Value, end)
	}
	return data
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
		p := a.pair(s.Key)
		switch {
		case strings.HasPrefix(s.Key, "send.") && a.pair("send") != nil:
			return nil, fault.New(fault.Config, "the keys of send stand in one line in account "+name+", where they are not changed", "change that line by hand, or write them as lines of their own: send.host = …")
		case p != nil:
			data = p.set(data, s.Value)
		case s.Value != "":
			data = a.insert(data, s)
		}
		if s.Key == "name" {
			name = s.Unquoted()
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
	// Of its table [account.send], whose keys are called send.KEY as without it; 0: it has none.
	send      int // the start of that line
	sendPairs []pair
}

// pair returns the one with this key, nil where there is none.
func (a *accountText) pair(key string) *pair {
	for _, list := range [][]pair{a.pairs, a.sendPairs} {
		if i := slices.IndexFunc(list, func(p pair) bool { return p.key == key }); i >= 0 {
			return &list[i]
		}
	}
	return nil
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
	shift := bom(data)
	var accounts []accountText
	root, inside, direct, send := true, false, false, false // no table; an account or a table of it; the account itself; its table send
	floor := shift                                          // the line below the last key or table: what is above it is no comment
	err := expressions(data, func(n *unstable.Node, keys []string, line, last int) error {
		if n.Kind == unstable.KeyValue {
			value := valueStart(data, last)
			end := valueEnd(data, value)
			floor = nextLine(data, end)
			if inside {
				accounts[len(accounts)-1].last = end
			}
			switch {
			case root && keys[0] == "account":
				return fault.New(fault.Config, "the accounts of this config are not written as tables [[account]]", "change the file by hand, or write them so: a line [[account]] for each, its keys below")
			case send:
				a := &accounts[len(accounts)-1]
				a.sendPairs = append(a.sendPairs, pair{"send." + strings.Join(keys, "."), line, value, end})
			case direct:
				a := &accounts[len(accounts)-1]
				a.pairs = append(a.pairs, pair{strings.Join(keys, "."), line, value, end})
				if len(keys) == 1 && keys[0] == "name" {
					a.name = string(n.Value().Data)
				}
			}
			return nil
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
		send = part && len(keys) == 2 && keys[1] == "send" && len(accounts) > 0
		if part && len(accounts) > 0 {
			a := &accounts[len(accounts)-1]
			a.last = last
			if send {
				a.send = line
			}
		}
		inside = part
		return nil
	})
	return accounts, err
}

// expressions calls each for every key and every table of a file that is TOML, with the
// parts of its name, the start of its line and the end of the name.
func expressions(data []byte, each func(n *unstable.Node, keys []string, line, last int) error) error {
	var p unstable.Parser
	shift := bom(data)
	p.Reset(data[shift:])
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
		if err := each(n, keys, max(bytes.LastIndexByte(data[:first], '\n')+1, shift), last); err != nil {
			return err
		}
	}
	return p.Error()
}

// insert puts a setting below the last one of the account.
func (a *accountText) insert(data []byte, s Setting) []byte {
	if name, ok := strings.CutPrefix(s.Key, "send."); ok && a.send > 0 {
		return insertBelow(data, nextLine(data, a.send), a.sendPairs, Setting{name, s.Value})
	}
	return insertBelow(data, nextLine(data, a.start), a.pairs, s)
}

// insertBelow puts a setting below the last of these, with its equals sign below the one
// above; without any at an offset.
func insertBelow(data []byte, at int, pairs []pair, s Setting) []byte {
	indent, width := "", len(s.Key)
	if len(pairs) > 0 {
		last := pairs[len(pairs)-1]
		at = nextLine(data, last.end)
		text := string(data[last.line:last.value])
		indent = text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		width = strings.IndexByte(text, '=') - len(indent) - 1
	}
	end := lineEnd(data)
	line := fmt.Sprintf("%s%-*s = %s%s", indent, width, s.Key, s.Value, end)
	if at > bom(data) && data[at-1] != '\n' { // the last line of the file
		line = end + line
	}
	return splice(data, at, at, []byte(line))
}

// set gives the key of a pair another value, or takes it out.
func (p pair) set(data []byte, value string) []byte {
	if value != "" {
		return splice(data, p.value, p.end, []byte(value))
	}
	from, to := p.line, nextLine(data, p.end)
	return splice(data, from, to, commented(data[from:to], p.value-from))
}

var byteOrderMark = []byte("\ufeff")

// bom is the length of the byte order mark that a file begins with, which Windows
// Notepad writes.
func bom(data []byte) int { return len(data) - len(bytes.TrimPrefix(data, byteOrderMark)) }
