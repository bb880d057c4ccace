package localimap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHeadersComeFromTheIndex: without the files, a client still gets the list
// of its messages and finds them, all but a message whose header is too long to
// be kept.
func TestHeadersComeFromTheIndex(t *testing.T) {
	dir := t.TempDir()
	r := newRigIn(t, dir)
	r.deliver("INBOX", nil, "From: a@example.com\r\nX-Other: 1\r\nSubject: one\r\n folded\r\n\r\ntext\r\n")
	r.deliver("INBOX", nil, "Subject: long\r\nReferences: "+strings.Repeat("<a@example.com>\r\n ", 400)+"<b@example.com>\r\n\r\ntext\r\n")
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	const fetch = "FETCH 1:2 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
	k.do("b "+fetch, "Subject: one")
	k.want(" folded")
	k.want("Subject: long")
	k.want("b OK")
	k.do("c SEARCH OR SUBJECT long SUBJECT folded", "* SEARCH 1 2")
	k.want("c OK")
	mail := filepath.Join(dir, "mail")
	if err := os.Rename(mail, mail+".away"); err != nil {
		t.Fatal(err)
	}
	k.do("d "+fetch, "Subject: one")
	k.want("d NO")
	k.do("e SEARCH OR SUBJECT long SUBJECT folded", "* SEARCH 1")
	k.want("e OK")
	k.do("f FETCH 1:2 (ENVELOPE BODYSTRUCTURE)", "f OK")
	if err := os.Rename(mail+".away", mail); err != nil { // the rig checks the store
		t.Fatal(err)
	}
}
