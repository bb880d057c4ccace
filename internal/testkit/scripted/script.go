package scripted

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// step is one line of a transcript.
type step struct {
	line   int
	op     string // "send", "expect" or a directive with its @
	data   string
	expect *regexp.Regexp // nil: data, literally
}

// parse returns the steps of each connection.
func parse(script string) ([][]step, error) {
	connections := [][]step{nil}
	for i, line := range strings.Split(script, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		st, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("script line %d: %w", i+1, err)
		}
		st.line = i + 1
		if st.op == "@connection" {
			connections = append(connections, nil)
			continue
		}
		last := len(connections) - 1
		connections[last] = append(connections[last], st)
	}
	return connections, nil
}

func parseStep(line string) (step, error) {
	if strings.HasPrefix(line, "@") {
		op, arg, _ := strings.Cut(line, " ")
		switch op {
		case "@packet", "@split", "@tls", "@stall", "@close", "@cut", "@wait", "@pause", "@connection":
			return step{op: op, data: strings.TrimSpace(arg)}, nil
		}
		return step{}, fmt.Errorf("no directive %s", op)
	}
	if len(line) < 2 {
		return step{}, fmt.Errorf("%q is no step", line)
	}
	rest := strings.TrimPrefix(line[2:], " ")
	switch line[:2] {
	case "S:":
		return step{op: "send", data: rest + "\r\n"}, nil
	case `S"`:
		text, err := strconv.Unquote(`"` + rest + `"`)
		return step{op: "send", data: text}, err
	case "C:":
		return step{op: "expect", data: rest}, nil
	case "C~":
		re, err := regexp.Compile("^(?:" + rest + ")$")
		return step{op: "expect", data: rest, expect: re}, err
	case "C.":
		return step{op: "content"}, nil
	case "C*":
		return step{op: "expect", data: "any line", expect: regexp.MustCompile(".*")}, nil
	}
	return step{}, fmt.Errorf("%q is no step", line)
}
