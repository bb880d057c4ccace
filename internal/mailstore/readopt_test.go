package mailstore

import "testing"

func TestReadoptGivesNewIDsAndKeepsTheRest(t *testing.T) {
	s := newStore(t)
	old := Origin{Account: "home", UIDL: "old"}
	taken := Origin{Account: "home", UIDL: "taken"}
	s.deliver(Delivery{Mailbox: s.id("INBOX"), Message: s.spool("one\r\n"), Origin: &old},
		Delivery{Mailbox: s.id("INBOX"), Message: s.spool("two\r\n"), Origin: &taken})
	fresh := Origin{Account: "home", UIDL: "new", Dup: 1}
	err := s.Readopt(t.Context(), "home", []Readoption{
		{From: old, To: fresh, ListSize: 7},
		{From: old, To: Origin{Account: "home", UIDL: "again"}},                                 // gone by now
		{From: fresh, To: taken},                                                                // its new id is taken
		{From: Origin{Account: "home", UIDL: "nobody"}, To: Origin{Account: "home", UIDL: "x"}}, // never was
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Ledger(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Origin != fresh || got[0].State != Presumed || got[0].ListSize != 7 || got[0].Size != 5 ||
		got[1].Origin != taken || got[1].State != Stored {
		t.Errorf("ledger: %+v", got)
	}
}
