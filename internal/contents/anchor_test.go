package contents_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/contents"
)

// anchor spools a message and places it.
func (f *files) anchor(text string) *contents.Batch {
	f.t.Helper()
	sp, err := f.SpoolAnchored(contents.NewSource(f.t.Context(), strings.NewReader(text)))
	must(f.t, err)
	b := f.NewBatch([]*contents.Spooled{sp})
	must(f.t, b.Place(f.t.Context()))
	return b
}

// A message that is waited for takes one sync; what is left to do comes after its end.
func TestAnAnchoredMessageTakesOneSync(t *testing.T) {
	f, disk := newFiles(t), &recorder{}
	f.Disk = disk
	for i, text := range []string{"one", "two"} {
		disk.did = nil
		b := f.anchor(text)
		if !f.has(text) {
			t.Errorf("%s is not there", text)
		}
		var syncs []string
		for _, d := range disk.did {
			if strings.HasPrefix(d, "sync") {
				syncs = append(syncs, d)
			}
		}
		// The first one has to wait for a name, before it has arrived.
		if want := [][]string{{"syncdir tmp", "sync anchor-"}, {"sync anchor-"}}[i]; !slices.EqualFunc(syncs, want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", text, disk.did, want)
		}
		f.known[hashOf(text)] = true
		before := len(disk.did)
		b.End(true, false)
		f.Wait()
		folder := "syncdir " + hashOf(text).String()[:2]
		if did := disk.did[before:]; did[0] != folder || !strings.HasPrefix(did[1], "remove anchor-") {
			t.Errorf("%s: at the end %q", text, did)
		}
	}
	f.Close()
	f.want("one", "two")
}

// What a crash leaves of anchored messages is made good where an index knows them, and
// removed where it does not.
func TestSweepSettlesAnchors(t *testing.T) {
	for what, crash := range map[string]func(path string) error{
		"nothing is lost":     func(string) error { return nil },
		"the name is lost":    os.Remove,
		"the file is damaged": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("o"), 0o600)) },
	} {
		t.Run(what, func(t *testing.T) {
			f := newFiles(t)
			f.anchor("one")
			f.anchor("never committed")
			f.Close()
			must(t, crash(f.Path(hashOf("one"))))
			again := openFiles(t, f.Dir)
			again.known[hashOf("one")] = true
			must(t, again.Sweep())
			again.want("one")
		})
	}
}

func TestAnAnchoredMessageThatIsNotStored(t *testing.T) {
	f := newFiles(t)
	f.anchor("one").End(false, false)
	f.Close()
	f.want()
	b := f.anchor("one")
	found := map[contents.Hash]bool{hashOf("one"): true}
	if must(t, f.Strays(found)); len(found) != 0 {
		t.Error("what is on its way is a stray")
	}
	b.End(true, true) // in doubt: the next start knows
	f.Close()
	must(t, f.Sweep())
	f.want()
}

// noLinks is a file system on which a file has one name.
type noLinks struct{ *recorder }

func (noLinks) Link(string, string) error { return errors.ErrUnsupported }

// Where a second name cannot be given, a message is placed like any other.
func TestAnAnchoredMessageWithoutASecondName(t *testing.T) {
	f := newFiles(t)
	f.store("there")
	f.anchor("there").End(true, false)
	f.Disk = noLinks{&recorder{}}
	b := f.anchor("one")
	f.known[hashOf("one")] = true
	b.End(true, false)
	f.Close()
	f.want("there", "one")
}
