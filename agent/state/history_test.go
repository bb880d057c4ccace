package state

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.json")
	h := NewHistory(path)
	at := func(day, hour int) time.Time { return time.Date(2026, 2, day, hour, 0, 0, 0, time.UTC) }
	note := func(now time.Time, stored, bytes int64) {
		t.Helper()
		if err := h.Note(now, map[string]int64{"home": stored}, bytes); err != nil {
			t.Fatal(err)
		}
	}
	note(at(26, 8), 100, 1000) // what was there before is not new
	note(at(26, 9), 103, 1300)
	note(at(26, 10), 105, 1500)
	h = NewHistory(path)
	note(at(29, 9), 106, 1400) // 29 February is 1 March; nothing was noted for two days
	note(at(28, 9), 107, 1450) // the clock went back
	note(at(29, 10), 90, 1450) // its store was restored from a backup
	want := []Day{{"2026-02-26", 5, 1500}, {"2026-02-27", 0, 1500}, {"2026-02-28", 0, 1500}, {"2026-03-01", 2, 1450}}
	if diff := cmp.Diff(want, h.Last(90)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[3:], h.Last(1)); diff != "" {
		t.Error(diff)
	}
	note(at(29, 10).AddDate(0, 0, 500), 95, 9)
	if got := h.Last(1000); len(got) != 5 || got[4].Messages != 5 {
		t.Errorf("after a long pause: %v", got)
	}
	for i := range 500 {
		note(at(29, 10).AddDate(0, 0, 501+i), 95, 9)
	}
	if got := len(h.Last(1000)); got != historyDays {
		t.Errorf("%d days are kept", got)
	}
	if got := NewHistory(path).Last(1); len(got) != 1 || got[0].Day != at(29, 10).AddDate(0, 0, 1000).Format(time.DateOnly) {
		t.Errorf("the last day that was written: %v", got)
	}

	if err := os.WriteFile(path, []byte("{nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	h = NewHistory(path)
	if got := h.Last(90); len(got) != 0 {
		t.Errorf("of a damaged file: %v", got)
	}
	note(at(1, 1), 7, 7)
	if got := NewHistory(path).Last(90); len(got) != 1 {
		t.Errorf("a damaged file is not begun anew: %v", got)
	}
}

// An account that goes and comes back, or comes with the mail that it has, brings nothing new.
func TestHistoryByAccount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.json")
	now := time.Date(2026, 2, 1, 9, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		what   string
		stored map[string]int64
		want   int64
	}{
		{"first", map[string]int64{"home": 100, "work": 50}, 0},
		{"removed", map[string]int64{"home": 101}, 1},
		{"back", map[string]int64{"home": 101, "work": 52}, 3},
		{"with mail", map[string]int64{"home": 101, "work": 52, "old": 1000}, 3},
		{"empty", map[string]int64{"home": 101, "work": 52, "old": 1000, "new": 0}, 3},
		{"filled", map[string]int64{"home": 101, "work": 52, "old": 1000, "new": 7}, 10},
		{"less and more", map[string]int64{"home": 1, "work": 53, "old": 1000, "new": 7}, 11},
	} {
		if err := NewHistory(path).Note(now, step.stored, 9); err != nil {
			t.Fatal(err)
		}
		if got := NewHistory(path).Last(1); len(got) != 1 || got[0].Messages != step.want {
			t.Errorf("%s: %v, want %d", step.what, got, step.want)
		}
	}
	h := NewHistory(path)
	for _, account := range []string{"begun", "home"} { // one of them is known
		if err := h.Begin(account); err != nil {
			t.Fatal(err)
		}
	}
	if err := NewHistory(path).Note(now, map[string]int64{"home": 1, "begun": 12}, 9); err != nil {
		t.Fatal(err)
	}
	if got := NewHistory(path).Last(1); len(got) != 1 || got[0].Messages != 23 {
		t.Errorf("the first poll of a new account: %v, want 23", got)
	}
	before := `{"stored":100,"days":[{"day":"2026-02-01","messages":5,"bytes":9}]}` // as it was written once
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewHistory(path).Note(now, map[string]int64{"home": 100}, 9); err != nil {
		t.Fatal(err)
	}
	if got := NewHistory(path).Last(1); len(got) != 1 || got[0].Messages != 5 {
		t.Errorf("of a former file: %v", got)
	}
}
