package bridge

import "testing"

// TestStoredPollState: what an earlier version has stored of an account is read, and
// written as it was: every field once.
func TestStoredPollState(t *testing.T) {
	const stored = `{"v":1,"new":true,"held":true,"mailbox":"ann at pop.example:995",` +
		`"confirmed":{"keep":"for","n":2592000,"expunged":604800},"refusals":1,"hang_ups":2,"refused_at":3,"last_login":4,` +
		`"delay":5,"learned":6,"learned_at":7,"expire":"e","awaiting":8,` +
		`"problems":[{"uidl":"Af8=","num":1,"size":2,"reason":"r","attempts":3,"next":4,"limit":5}],` +
		`"due":[{"uidl":"dQ==","size":1,"hash":"CQ==","stored_at":3,"reason":"x"}],"due_total":1,"due_policy":"p",` +
		`"anchor":{"num":3,"sizes":"AQI=","hash":"Aw=="},"relists":true,"numbered":true,"top":12,"proven":true,"first":"a1","reuses":true,` +
		`"undeleted":{"n":1,"said":"s","tries":2,"next":3},"unstuffed":true,"without":["CAPA"],"without_at":9}`
	if got := decodePollState(stored).text(); got != stored {
		t.Errorf("%s\nwant\n%s", got, stored)
	}
}
