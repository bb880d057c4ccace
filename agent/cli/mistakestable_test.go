package cli_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/mistakes.md")

// The scripts of mistakes, in the order of their numbers.
var mistakeScripts = []struct{ title, path string }{
	{"Setting up", "agent/cli/testdata/script/mistakes/setting-up.txtar"},
	{"Passwords", "agent/cli/testdata/script/mistakes/passwords.txtar"},
	{"The config file", "agent/cli/testdata/script/mistakes/config-file.txtar"},
	{"Ports and mail programs", "agent/cli/testdata/script/mistakes/ports-and-clients.txtar"},
	{"Folders and disks", "agent/cli/testdata/script/mistakes/folders-and-disks.txtar"},
	{"The background service of a user", "test/service/testdata/mistakes-user.txtar"},
	{"The background service of the whole system", "test/service/testdata/mistakes-system.txtar"},
	{"Signing in", "agent/cli/testdata/script/mistakes/signing-in.txtar"},
}

const mistakesHead = `# Mistakes, and what popbridge answers

What people get wrong, what they type, and the answer. Each row is a script that runs with the tests; it has the whole answer, with what to do about it. The table is made of the scripts: ` + "`go test ./agent/cli -run TestTableOfMistakes -update`" + `. … stands for what differs.
`

// TestTableOfMistakes holds docs/mistakes.md and the scripts together, and the numbers in
// these.
func TestTableOfMistakes(t *testing.T) {
	var table strings.Builder
	table.WriteString(mistakesHead)
	number := 0
	for _, s := range mistakeScripts {
		text, err := os.ReadFile(filepath.Join("..", "..", s.path))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&table, "\n## %s\n\n[%s](../%s)\n\n| | mistake | what is typed | what is answered |\n|---|---|---|---|\n", s.title, filepath.Base(s.path), s.path)
		script, _, _ := strings.Cut(string(text), "\n-- ")
		for _, part := range regexp.MustCompile(`(?m)^# ([0-9]+)\. `).Split(script, -1)[1:] {
			number++
			if !strings.Contains(script, fmt.Sprintf("\n# %d. ", number)) {
				t.Fatalf("%s: the number %d is missing", s.path, number)
			}
			title, typed, answer := readMistake(part)
			if title == "" || typed == "" || answer == "" {
				t.Errorf("%s: %d. %q, typed %q, answered %q", s.path, number, title, typed, answer)
			}
			fmt.Fprintf(&table, "| %d | %s | `%s` | %s |\n", number, cell(title), cell(typed), cell(answer))
		}
	}
	if number < 30 {
		t.Errorf("these are %d mistakes", number)
	}
	const page = "../../docs/mistakes.md"
	if *update {
		if err := os.WriteFile(page, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	now, err := os.ReadFile(page)
	if err != nil || string(now) != table.String() {
		t.Errorf("%s is not what the scripts are (%v): run this test with -update", page, err)
	}
}

var (
	typedLine  = regexp.MustCompile(`(?m)^(?:\[\w+\] )*(?:exits ([0-9]) |(imap ))(.*)$`)
	answerLine = regexp.MustCompile(`(?m)^(?:\[\w+\] )*(says|prints|stderr|stdout) ('.*')$`)
	quoted     = regexp.MustCompile(`'((?:[^']|'')*)'`)
	wildcard   = regexp.MustCompile(`\.\*|\[0-9\]\+`)
	// others is what a script has in front of what is typed.
	others = regexp.MustCompile(`^(?:ann|root|unshare --mount sh \w+\.sh) `)
)

// readMistake returns the title of a mistake, the command that fails, or else the last
// one, and what is answered to it: the error, or else all lines.
func readMistake(part string) (title, typed, answer string) {
	for line := range strings.Lines(part) {
		rest, comment := strings.CutPrefix(line, "# ")
		if !comment && title != "" {
			break
		}
		title += " " + strings.TrimSpace(rest)
	}
	at := 0
	for _, m := range typedLine.FindAllStringSubmatchIndex(part, -1) {
		typed, at = part[m[6]:m[7]], m[1]
		if m[2] < 0 {
			typed = "LOGIN with a wrong password"
		} else if part[m[2]:m[3]] != "0" {
			break
		}
	}
	for _, m := range answerLine.FindAllStringSubmatch(part[at:], -1) {
		lines := answered(m[1], m[2])
		if errs, isError := strings.CutPrefix(lines[0], "error: "); isError {
			answer = errs
			break
		}
		answer = cmp.Or(answer, strings.Join(lines, " / "))
	}
	return strings.TrimSpace(title), strings.TrimSpace(others.ReplaceAllString(typed, "")), answer
}

// answered are the lines of an answer as a script has them: as they are, or as a pattern.
func answered(command, arguments string) (lines []string) {
	for _, m := range quoted.FindAllStringSubmatch(arguments, -1) {
		line := strings.ReplaceAll(m[1], "''", "'")
		if command == "stderr" || command == "stdout" {
			rest, begin := strings.CutPrefix(line, "^")
			rest, end := strings.CutSuffix(rest, "$")
			line = strings.NewReplacer(`\[`, "[", `\]`, "]").Replace(wildcard.ReplaceAllString(rest, "…"))
			if !begin {
				line = "… " + line
			}
			if !end {
				line = strings.TrimSpace(line) + " …"
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// cell is text in a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s)
}
