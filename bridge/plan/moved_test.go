package plan_test

import (
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestMoved(t *testing.T) {
	ledger := []mailstore.LedgerEntry{
		row("a", 0, 10), row("b", 0, 20), row("c", 0, 30, state(mailstore.DeleteAcked)), row("d", 0, 40, state(mailstore.DeleteIntended)),
	}
	for _, tt := range []struct {
		name    string
		listing []plan.Listed
		same    bool
	}{
		{"the same ids and sizes", []plan.Listed{{1, 10, "a"}, {2, 20, "b"}, {3, 50, "e"}}, true},
		{"half of them", []plan.Listed{{1, 10, "a"}, {2, 50, "e"}}, false},
		{"the same ids, other sizes", []plan.Listed{{1, 11, "a"}, {2, 21, "b"}}, false},
		{"nothing", nil, false},
	} {
		rows, same := plan.Moved(tt.listing, ledger)
		if same != tt.same || len(rows) != 3 {
			t.Errorf("%s: same ids %v, rows %v", tt.name, same, rows)
		}
		for _, r := range rows {
			if r.From != r.To || (r.ListSize != 0) != tt.same {
				t.Errorf("%s: %+v", tt.name, r)
			}
		}
	}
}
