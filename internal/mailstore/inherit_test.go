package mailstore

import (
	"fmt"
	"testing"
)

// Of several accounts that are the same mailbox under other names, the ledger with the
// most mail is inherited: the others came to nothing.
func TestTheFullestLedgerIsInherited(t *testing.T) {
	r := newStore(t)
	for name, messages := range map[string]int{"alpha": 0, "mid": 3, "zeta": 1} {
		must(t, r.SetAccountState(t.Context(), name, AccountState{Memory: "same", OnServer: messages}))
		for n := range messages {
			text := fmt.Sprint(name, n)
			r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: r.spool(text), Origin: &Origin{Account: name, UIDL: text}})
		}
	}
	st, ok, err := r.Inherit(t.Context(), "new", func(_, memory string) bool { return memory == "same" })
	if err != nil || !ok || st.OnServer != 3 {
		t.Errorf("%+v, %v, %v", st, ok, err)
	}
}
