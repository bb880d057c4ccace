package config

import (
	"bytes"
	"slices"
	"strings"
)

// lineEnd is how the lines of a file end.
func lineEnd(data []byte) string {
	if i := bytes.IndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// above is the start of the comments right above a line, or that of the line. They are
// below floor.
func above(data []byte, line, floor int) int {
	for line > floor {
		before := max(bytes.LastIndexByte(data[:line-1], '\n')+1, floor)
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

// commented makes comments of lines with a key, where there is a comment among them,
// and else nothing. value is where the value of the key starts.
func commented(lines []byte, value int) []byte {
	found := false
	for i := value; i < len(lines) && !found; i++ {
		switch lines[i] {
		case '"', '\'':
			i = stringEnd(lines, i) - 1
		case '#':
			found = true
		}
	}
	if !found {
		return nil
	}
	var out []byte
	for line := range bytes.Lines(lines) {
		text := bytes.TrimLeft(line, " \t")
		out = append(append(out, line[:len(line)-len(text)]...), "# "...)
		out = append(out, text...)
	}
	return out
}

func splice(data []byte, from, to int, text []byte) []byte {
	return slices.Concat(data[:from], text, data[to:])
}
