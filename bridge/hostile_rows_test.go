package bridge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// hostileRows are the rows of the table "How real POP3 servers behave", by the
// words its first column begins with, and what the files of testdata/hostile
// call them. Those without are what public bug reports told later.
var hostileRows = []struct{ table, row string }{
	{"deletions take effect at QUIT only", "deletions undone by a cut"},
	{"UIDLs change for the whole mailbox", "all UIDLs changed"},
	{"the same UIDL twice in one listing", "the same UIDL twice"},
	{"the same UIDL twice in one listing", "an empty UIDL"},
	{"the same UIDL twice in one listing", "three spaces between number and UIDL"},
	{"the same UIDL twice in one listing", "a UIDL longer than 70 characters"},
	{"no UIDL at all, or UIDL refused", "no UIDL at all"},
	{"no UIDL at all, or UIDL refused", "UIDL refused while another client is connected"},
	{"a short UIDL listing", "a short UIDL listing"},
	{"one message that cannot be read", "a message that cannot be read"},
	{"per-session caps", "per-session caps"},
	{"`[IN-USE]`, `duplicate login!`", "the mailbox is in use"},
	{"`[LOGIN-DELAY]`, CAPA `LOGIN-DELAY 300`", "LOGIN-DELAY"},
	{"`EXPIRE 0`", "EXPIRE"},
	{"CAPA differs before and after login", "CAPA differs before and after login"},
	{"plain text injected after the STLS answer", "plain text injected after the STLS answer"},
	{"no CAPA at all, APOP time stamp", "no CAPA"},
	{"PIPELINING announced", "PIPELINING"},
	{"TOP cuts messages at", "TOP cuts messages"},
	{"a message whose size in LIST is wrong", "the size in LIST is wrong"},
	{"no line end before the final dot", "no line end before the final dot"},
	{"lines of many kilobytes", "lines of many kilobytes, NUL, bare CR and LF, 8-bit headers"},
	{"XOAUTH2 in one line refused", "XOAUTH2 in one line refused"},
	{"`-ERR [SYS/PERM] Your account is not enabled", "POP access is switched off"},
	{"login answered after 10 to 60 seconds", "login answered late, TLS handshakes that stall"},
	{"the connection is dropped after RETR", "the connection is dropped after RETR"},
	{"the connection is dropped after RETR", "the terminator split over packets"},
	{"", "no byte-stuffing"},
	{"", "far less comes than LIST tells"},
	{"", "lines that end with a bare LF"},
	{"", "absurd sizes in LIST"},
	{"", "a drip"},
	{"", "UIDL with a number"},
}

// Each row has a transcript, and each transcript a row.
func TestHostileRows(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		row := strings.TrimPrefix(first, "row: ")
		shown[row] = true
		known := false
		for _, r := range hostileRows {
			known = known || r.row == row
		}
		if !known {
			t.Errorf("%s shows %q, which is no row", file, row)
		}
	}
	for _, r := range hostileRows {
		if !shown[r.row] {
			t.Errorf("no transcript shows %q", r.row)
		}
	}
}

// The list above is that of the table.
func TestHostileRowsAreTheTable(t *testing.T) {
	data, err := os.ReadFile(testkit.Shared(t, "facts", "pop-servers.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(line, "|")
		if len(cells) == 5 && !strings.HasPrefix(cells[1], "---") && strings.TrimSpace(cells[1]) != "behaviour" {
			rows = append(rows, strings.TrimSpace(cells[1]))
		}
	}
	if len(rows) < 20 {
		t.Fatalf("%d rows in the table", len(rows))
	}
	for _, row := range rows {
		if !slices.ContainsFunc(hostileRows, func(r struct{ table, row string }) bool { return r.table != "" && strings.HasPrefix(row, r.table) }) {
			t.Errorf("hostileRows lacks %q", row)
		}
	}
	for _, r := range hostileRows {
		if r.table != "" && !slices.ContainsFunc(rows, func(row string) bool { return strings.HasPrefix(row, r.table) }) {
			t.Errorf("the table lacks %q", r.table)
		}
	}
}
