package conformance

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestRunner: what the runner accepts and, which matters more, what it does not.
func TestRunner(t *testing.T) {
	for _, tt := range []struct {
		name, script, answer string
		want                 string // in the error; empty for none
	}{
		{"exact", " * 1 EXISTS\n OK", "* 1 EXISTS\r\nTAG OK done\r\n", ""},
		{"code and text", " OK [X 1] done …", "TAG OK [x 1] done now\r\n", ""},
		{"other code", " OK [X 1]", "TAG OK [X 2] done\r\n", "want:"},
		{"no code", " OK [X 1]", "TAG OK done\r\n", "want:"},
		{"other result", " NO", "TAG OK done\r\n", "want:"},
		{"unexpected line", " OK", "* 1 EXISTS\r\nTAG OK done\r\n", "* 1 EXISTS"},
		{"missing line", " * 1 EXISTS\n OK", "TAG OK done\r\n", "want:"},
		{"wrong order", " * 1 EXISTS\n * 0 RECENT\n OK", "* 0 RECENT\r\n* 1 EXISTS\r\nTAG OK done\r\n", "want:"},
		{"group", " {\n * 1 EXISTS\n * 0 RECENT\n }\n OK", "* 0 RECENT\r\n* 1 EXISTS\r\nTAG OK done\r\n", ""},
		{"group, one twice", " {\n * 1 EXISTS\n }\n OK", "* 1 EXISTS\r\n* 1 EXISTS\r\nTAG OK done\r\n", "want:"},
		{"group, one missing", " {\n * 1 EXISTS\n * 2 EXISTS\n }\n OK", "* 1 EXISTS\r\nTAG OK done\r\n", "want:"},
		{"group with others", " {\n * 1 EXISTS\n …\n }\n OK", "* 0 RECENT\r\n* 1 EXISTS\r\n* X\r\nTAG OK done\r\n", ""},
		{"optional, there", " ? * 0 RECENT\n OK", "* 0 RECENT\r\nTAG OK done\r\n", ""},
		{"optional, not there", " ? * 0 RECENT\n OK", "TAG OK done\r\n", ""},
		{"any lines", " …\n OK", "* 1 EXISTS\r\n* X\r\nTAG OK done\r\n", ""},
		{"any lines but the last", " …\n OK", "* 1 EXISTS\r\nTAG NO done\r\n", "want:"},
		{"after the tagged line", " OK", "TAG OK done\r\n* 1 EXISTS\r\n", "at the end of"},
		{"regular expression", ` /^\* \d EXISTS$/` + "\n OK", "* 3 EXISTS\r\nTAG OK\r\n", ""},
		{"name, the same twice", " * <nn> EXISTS\n * <nn> RECENT\n OK", "* 3 EXISTS\r\n* 3 RECENT\r\nTAG OK\r\n", ""},
		{"name, another value", " * <nn> EXISTS\n * <nn> RECENT\n OK", "* 3 EXISTS\r\n* 4 RECENT\r\nTAG OK\r\n", "want:"},
		{"literal", " * 1 FETCH (BODY[] {5}\n a\n b)\n OK", "* 1 FETCH (BODY[] {5}\r\na\r\nb )\r\nTAG OK\r\n", "want:"},
		{"literal with line end", " * 1 FETCH (BODY[] {3}\n a\n )\n OK", "* 1 FETCH (BODY[] {3}\r\na\r\n)\r\nTAG OK\r\n", ""},
		{"literal as quoted string", " * 1 FETCH (X \"a b\")\n OK", "* 1 FETCH (X {3}\r\na b)\r\nTAG OK\r\n", ""},
		{"string NIL", " * 1 FETCH (X NIL)\n OK", "* 1 FETCH (X \"NIL\")\r\nTAG OK\r\n", "want:"},
		{"items in any order", ` * 1 FETCH (UID 2 FLAGS (\Seen A))` + "\n OK", "* 1 FETCH (FLAGS (a \\Seen) UID 2)\r\nTAG OK\r\n", ""},
		{"an item more", " * 1 FETCH (UID 2)\n OK", "* 1 FETCH (FLAGS () UID 2)\r\nTAG OK\r\n", "want:"},
		{"an item of any value", " * 1 FETCH (UID … FLAGS ())\n OK", "* 1 FETCH (FLAGS () UID 2)\r\nTAG OK\r\n", ""},
		{"attributes", ` * LIST (\B \A) "/" "x"` + "\n OK", "* LIST (\\a \\Marked \\b) \"/\" x\r\nTAG OK\r\n", ""},
		{"an attribute missing", ` * LIST (\B \A) "/" "x"` + "\n OK", "* LIST (\\a) \"/\" x\r\nTAG OK\r\n", "want:"},
		{"an attribute too many", ` * LIST (\A not:\B …) "/" "x"` + "\n OK", "* LIST (\\a \\b) \"/\" x\r\nTAG OK\r\n", "want:"},
		{"no attribute too many", ` * LIST (\A not:\B …) "/" "x"` + "\n OK", "* LIST (\\a \\c) \"/\" x\r\nTAG OK\r\n", ""},
		{"names have case", ` * LIST () "/" "x"` + "\n OK", "* LIST () \"/\" \"X\"\r\nTAG OK\r\n", "want:"},
		{"unreadable", ` * LIST () "/" …` + "\n OK", "* LIST () \"/\" \"X\r\nTAG OK\r\n", "want:"},
		{"end of connection", " EOF", "", ""},
		{"end of connection instead", " OK", "", "EOF"},
		{"mark that is needed", " BAD\n !popbridge why\n OK", "TAG OK\r\n", ""},
		{"mark that is not", " BAD\n !popbridge why\n NO", "TAG BAD\r\n", "want:"},
		{"mark that fits as well", " OK\n !popbridge why\n …\n OK", "TAG OK\r\n", "not true"},
		{"mark of the other server", " OK\n !dovecot why\n BAD", "TAG OK\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseScript("test", []byte("A: GO\n"+tt.script+"\n"))
			if err == nil {
				_, err = execute(t.Context(), s, fake(tt.answer))
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// fake answers GO with the given text, in which TAG is its tag, or closes the
// connection where there is none.
func fake(answer string) *server {
	return &server{name: "popbridge", user: "u", password: "p", dial: func(bool) (net.Conn, error) {
		client, conn := net.Pipe()
		go func() {
			defer func() { _ = conn.Close() }()
			r := bufio.NewReader(conn)
			text := "* OK hello\r\n"
			for text != "" {
				if _, err := fmt.Fprint(conn, text); err != nil {
					return
				}
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				tag, rest, _ := strings.Cut(line, " ")
				switch rest {
				case "GO\r\n":
					text = strings.ReplaceAll(answer, "TAG", tag)
				case "LOGOUT\r\n":
					_, _ = fmt.Fprintf(conn, "* BYE\r\n%s OK\r\n", tag) // the client may be gone
					return
				default:
					text = tag + " OK\r\n"
				}
			}
		}()
		return client, nil
	}}
}

func TestScriptsThatCannotBeRead(t *testing.T) {
	for _, text := range []string{
		"nonsense\n", "not courier why\n", "not dovecot\n", "needs\n", "A: NOOP\n !courier why\n OK\n", "A: NOOP\n {\n OK\n", "A> \"\\q\"\n", "A: X\n * 1 FETCH {99}\n abc\n OK\n", "A: X\n /(/\n",
	} {
		if _, err := parseScript("test", []byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
