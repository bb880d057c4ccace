package localimap

import "testing"

// TestADeviceThatMayOnlyRead: nothing that it does changes anything, not even
// \Seen and \Recent.
func TestADeviceThatMayOnlyRead(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, "Subject: x\r\n\r\nx\r\n")
	k := r.talk("")
	k.do("l LOGIN joe pw-read", "l OK")
	k.all("SELECT INBOX", "OK [READ-ONLY]")
	k.do("x FETCH 1 BODY[TEXT]", "x OK")
	for _, line := range []string{
		"STORE 1 +FLAGS (\\Seen)", "COPY 1 Trash", "MOVE 1 Trash", "EXPUNGE", "UID EXPUNGE 1", "CREATE New", "DELETE Trash",
		"RENAME Trash Bin", "SUBSCRIBE New", "UNSUBSCRIBE Trash",
		"UID STORE 1 (UNCHANGEDSINCE 9) FLAGS ()", "REPLACE 1 INBOX {2}", "UID REPLACE 1 INBOX {2}",
	} {
		k.all(line, "NO [NOPERM]")
	}
	k.save("INBOX", "NO [NOPERM]")
	k.same("CLOSE")

	all := r.talk("joe")
	all.all("SELECT INBOX", "OK")
	all.same("FETCH 1 FLAGS", `1 FETCH (FLAGS (\Recent))`)
}

// TestAStoreThatIsBeingOpened: what people can do about an error reaches them.
func TestAStoreThatIsBeingOpened(t *testing.T) {
	newRig(t).talk("").all("LOGIN busy pw", "NO [UNAVAILABLE] The mail store is being opened; try again")
}
