package mailstore

import (
	"os"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

func TestHealthySaysWhatIsWrong(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	must(t, r.Healthy(t.Context()))
	r.clean()
	for err, kind := range map[syscall.Errno]fault.Kind{syscall.ENOSPC: fault.Full, syscall.EROFS: fault.Temporary, syscall.EIO: fault.Temporary} {
		r.hook = func(step string) error {
			if step == "probe" {
				return &os.PathError{Op: "write", Path: "x", Err: err}
			}
			return nil
		}
		wantKind(t, r.Healthy(t.Context()), kind)
	}
	r.hook = nil
	must(t, r.Healthy(t.Context()))
	must(t, r.Close())
	wantKind(t, r.Healthy(t.Context()), fault.Internal)
	r.open()
}

func TestAFolderThatVanishesAndComesBack(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	v := r.view("INBOX")
	id, sp, away := r.id("INBOX"), r.spool(text(3)), r.dir+".away"
	must(t, os.Rename(r.dir, away))
	wantKind(t, r.Healthy(t.Context()), fault.Temporary)
	_, err := r.Deliver(t.Context(), []Delivery{{Mailbox: id, Message: sp}})
	wantKind(t, err, fault.Temporary)
	_, err = r.Repair(t.Context(), nil)
	wantKind(t, err, fault.Temporary)
	if _, err := os.Stat(r.dir); err == nil {
		t.Error("a folder was made where the store had been")
	}
	must(t, os.Rename(away, r.dir))
	must(t, r.Healthy(t.Context()))
	r.append("INBOX", 4)
	r.fresh(v)
	r.want("INBOX", "1  number 1\n2  number 2\n3  number 4")
	r.reopen() // which clears tmp
}

func TestAnIndexThatComesBackAsAnotherFileIsOpenedAgain(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	r.flag([]UID{1}, mailflags.Add, "work")
	v := r.view("INBOX")
	gone := r.view("Sent")
	// Away it is changed by another program, and what comes back is a copy.
	away := r.dir + ".away"
	must(t, os.CopyFS(away, os.DirFS(r.dir)))
	c := &rig{t: t, clock: r.clock, dir: away}
	c.open()
	c.append("INBOX", 3, "new")
	must(t, c.DeleteMailbox(t.Context(), "Sent"))
	must(t, c.Close())
	must(t, os.Rename(r.dir, r.dir+".old"))
	must(t, os.Rename(away, r.dir))
	must(t, r.Healthy(t.Context()))
	if !marked(v.Changed()) || !gone.Gone() {
		t.Error("the views do not know")
	}
	r.fresh(v)
	r.append("INBOX", 4)
	r.want("INBOX", "1 work number 1\n2  number 2\n3 new number 3\n4  number 4")
	before := r.state()
	r.lose(removeIndex)
	equal(t, "the log went on", r.state(), before)
}

func TestWorkGoesOnAfterAnErrorOfTheIndex(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	v := r.view("INBOX")
	broken := true
	r.hook = func(step string) error {
		if step == "commit" && broken {
			return &os.PathError{Op: "sync", Path: "index.db-wal", Err: syscall.EIO}
		}
		return nil
	}
	_, err := r.SetFlags(t.Context(), r.id("INBOX"), []UID{1}, mailflags.Add, []string{"work"})
	wantKind(t, err, fault.Temporary)
	old := r.writer.db
	broken = false
	r.flag([]UID{2}, mailflags.Add, "home")
	if r.writer.db == old {
		t.Error("the index was not opened again")
	}
	r.fresh(v)
	r.want("INBOX", "1  number 1\n2 home number 2")
	before := r.state()
	r.lose(removeIndex)
	equal(t, "the log went on", r.state(), before)
}
