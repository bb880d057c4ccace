package localimap

import "testing"

func TestARevokedDeviceIsDisconnected(t *testing.T) {
	r := newRig(t)
	idle, busy, other := r.talk("joe"), r.talk("joe"), r.talk("")
	other.do("l LOGIN joe pw-read", "l OK")
	idle.do("a SELECT INBOX", "a OK")
	idle.do("b IDLE", "+")
	if n := r.server.Clients(); n != 3 {
		t.Fatalf("%d clients", n)
	}
	r.server.Disconnect("joe", "laptop")
	for _, k := range []*talk{idle, busy} {
		k.want("* BYE")
		k.want(broken)
	}
	other.do("c NOOP", "c OK")
	r.server.Disconnect("joe", "no such device")
	other.do("d NOOP", "d OK")
}
