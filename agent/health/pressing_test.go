package health

import (
	"os"
	"strings"
	"testing"
	"time"
)

// docs/troubleshooting.md says of each condition when people are told.
func TestThePageSaysWhenPeopleAreTold(t *testing.T) {
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		code, isCode := strings.CutPrefix(cells[0], "| `")
		if !isCode || len(cells) < 4 {
			continue
		}
		rows++
		tell, named := pressing[strings.TrimSuffix(code, "`")]
		want := "no"
		if named {
			want = map[time.Duration]string{0: "at once", 10 * time.Minute: "10 min", time.Hour: "1 h"}[tell.after]
		}
		switch {
		case tell.quiet:
			want += ", alert only"
		case tell.lasting:
			want += ", each time"
		}
		if cells[1] != want {
			t.Errorf("%s: the page says %q, the code %q", cells[0], cells[1], want)
		}
	}
	if rows < len(pressing) {
		t.Errorf("%d rows found", rows)
	}
}
