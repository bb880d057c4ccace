package mailstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/testkit"
)

// from is a delivery of test message n into INBOX from a POP server.
func (r *rig) from(account, uidl string, n int) Delivery {
	return Delivery{Mailbox: r.id("INBOX"), Message: r.spool(text(n)), ReceivedAt: start, Origin: &Origin{Account: account, UIDL: uidl}}
}

func TestBytesComeBackAsTheyWere(t *testing.T) {
	r := newStore(t)
	messages := map[string][]byte{
		"bare LF":    []byte("A: b\n\nc\n"),
		"bare CR":    []byte("A: b\r\rc\r"),
		"NUL":        {0, 1, 2, 0},
		"no newline": []byte("x"),
		"8 bit":      {0xff, 0xfe, '\r', '\n'},
		"long line":  bytes.Repeat([]byte("x"), 300<<10),
		"synthetic":  testkit.Message(7),
	}
	for name, data := range messages {
		sp, err := r.Spool(t.Context(), iotest.OneByteReader(bytes.NewReader(data)))
		must(t, err)
		h := sp.Hash()
		if sp.Size() != int64(len(data)) || sp.Summary() == nil {
			t.Errorf("%s: spooled %d bytes of %d", name, sp.Size(), len(data))
		}
		r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: sp})
		if got := r.read(h); !bytes.Equal(got, data) {
			t.Errorf("%s: came back as %.60q", name, got)
		}
	}
}

func TestCorpusComesBackAsItWas(t *testing.T) {
	corpus := testkit.Corpus(t)
	r := newStore(t)
	want := map[Hash][]byte{}
	var batch []Delivery
	for _, data := range corpus {
		sp, err := r.Spool(t.Context(), bytes.NewReader(data))
		must(t, err)
		if len(data) == 0 {
			data = []byte("\r\n")
		}
		want[sp.Hash()] = data
		batch = append(batch, Delivery{Mailbox: r.id("INBOX"), Message: sp})
	}
	r.deliver(batch...)
	r.reopen()
	p := r.view("INBOX").Snapshot()
	contents, err := r.Contents(t.Context(), p.Contents, WantFile|wantSummary)
	must(t, err)
	if len(contents) != len(corpus) {
		t.Errorf("%d messages of %d", len(contents), len(corpus))
	}
	for i, c := range contents {
		if !bytes.Equal(r.read(c.Hash), want[c.Hash]) || p.Sizes[i] != int64(len(want[c.Hash])) {
			t.Errorf("message %d changed", i)
		}
	}
}

func TestAnEmptyMessageIsALineEnd(t *testing.T) {
	r := newStore(t)
	sp := r.spool("")
	if sp.Size() != 2 {
		t.Errorf("size %d", sp.Size())
	}
	h := sp.Hash()
	r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: sp})
	if got := r.read(h); string(got) != "\r\n" {
		t.Errorf("stored as %q", got)
	}
}

func TestSpoolReturnsTheErrorOfTheReader(t *testing.T) {
	r := newStore(t)
	cut := errors.New("connection lost")
	_, err := r.Spool(t.Context(), io.MultiReader(strings.NewReader("half a mess"), iotest.ErrReader(cut)))
	if !errors.Is(err, cut) {
		t.Errorf("error %v", err)
	}
}

func TestDeliverFillsTheColumns(t *testing.T) {
	r := newStore(t)
	box := r.box("INBOX")
	out := r.deliver(
		Delivery{Mailbox: box.ID, Message: r.spool(text(1)), ReceivedAt: start.Add(time.Hour)},
		Delivery{Mailbox: box.ID, Message: r.spool(text(2)), Flags: []string{`\seen`, `\Recent`, "Work", "$MDNSent", "work"}},
		Delivery{Mailbox: r.id("Sent"), Message: r.spool(text(1)), Flags: []string{`\Deleted`, `\Draft`, `\Answered`, `\Flagged`}},
	)
	want := []Delivered{{1, box.UIDValidity, false}, {2, box.UIDValidity, false}, {1, r.box("Sent").UIDValidity, false}}
	if !slices.Equal(out, want) {
		t.Errorf("delivered %v, want %v", out, want)
	}
	size := int64(len(text(1)))
	for range 2 {
		p := r.view("INBOX").Snapshot()
		if !slices.Equal(p.UIDs, []UID{1, 2}) || !slices.Equal(p.Sizes, []int64{size, size}) ||
			!slices.Equal(p.Received, []int64{start.Unix() + 3600, start.Unix()}) ||
			!slices.Equal(p.ModSeqs, []ModSeq{2, 2}) || p.RecentFrom != 1 {
			t.Errorf("snapshot %+v", p)
		}
		if got := r.FlagNames(p.Flags[1]); !slices.Equal(got, []string{`\Seen`, "$MDNSent", "Work"}) {
			t.Errorf("flags %q", got)
		}
		m := r.box("INBOX")
		if m != p.Mailbox || m.Messages != 2 || m.Unseen != 1 || m.Deleted != 0 || m.Recent != 2 || m.Size != 2*size || m.UIDNext != 3 {
			t.Errorf("mailbox %+v, in the snapshot %+v", m, p.Mailbox)
		}
		r.want("Sent", `1 \Answered \Flagged \Deleted \Draft number 1`)
		r.reopen()
	}
}

func TestNothingTwice(t *testing.T) {
	r := newStore(t)
	if out := r.deliver(r.from("home", "A", 1), r.from("home", "B", 2), r.from("home", "A", 1)); out[0].Duplicate || !out[2].Duplicate {
		t.Errorf("delivered %v", out)
	}
	for range 2 {
		if out := r.deliver(r.from("home", "A", 1)); !out[0].Duplicate || out[0].UID != 0 {
			t.Errorf("delivered %v", out)
		}
		r.reopen()
	}
	// The same id of another account, and the second of that id in a listing,
	// are other messages.
	second := r.from("home", "A", 1)
	second.Origin.Dup = 1
	if out := r.deliver(r.from("work", "A", 1), second); out[0].Duplicate || out[1].Duplicate {
		t.Errorf("delivered %v", out)
	}
	// An id that the server gave to another message must not hide that one.
	if out := r.deliver(r.from("home", "A", 9)); out[0].Duplicate {
		t.Errorf("delivered %v", out)
	}
	r.want("INBOX", "1  number 1\n2  number 2\n3  number 1\n4  number 1\n5  number 9")
	st, err := r.AccountState(t.Context(), "home")
	must(t, err)
	if st.Stored != 4 {
		t.Errorf("%d stored", st.Stored)
	}
}

func TestALedgerEntryOutlivesItsMessage(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1))
	_, err := r.SetFlags(t.Context(), r.id("INBOX"), []UID{1}, mailflags.Add, []string{`\Deleted`})
	must(t, err)
	_, err = r.Expunge(t.Context(), r.id("INBOX"), nil)
	must(t, err)
	r.clock.t = start.Add(48 * time.Hour)
	r.reopen()
	// Fetched again although it is in the ledger: still not delivered, and the
	// file that came with it does not stay.
	if out := r.deliver(r.from("home", "A", 1)); !out[0].Duplicate {
		t.Errorf("delivered %v", out)
	}
	entries, err := r.Ledger(t.Context(), "home")
	must(t, err)
	if len(entries) != 1 || entries[0].Hash != hashOf(text(1)) || entries[0].Size != int64(len(text(1))) {
		t.Errorf("ledger %+v", entries)
	}
}

func TestLedger(t *testing.T) {
	r := newStore(t)
	long := strings.Repeat("u", 500)
	batch := []Delivery{r.from("home", "B", 1), r.from("home", "", 2), r.from("home", long, 3), r.from("work", "A", 4)}
	for i := range batch {
		batch[i].ListSize = 7
	}
	r.deliver(batch...)
	first := start.Truncate(time.Second).Local()
	entry := func(uidl string, n int) LedgerEntry {
		return LedgerEntry{Origin: Origin{"home", uidl, 0}, Hash: hashOf(text(n)), Size: int64(len(text(n))),
			ListSize: 7, State: Stored, StoredAt: first, LastListedAt: first}
	}
	want := []LedgerEntry{entry("", 2), entry("B", 1), entry(long, 3)}
	got, err := r.Ledger(t.Context(), "home")
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("ledger %+v", got)
	}
	want[0].State, want[0].Absent, want[0].ListSize = DeleteAcked, 3, 8
	want[1].State, want[1].LastListedAt = DeleteIntended, first.Add(time.Hour)
	change := slices.Clone(want)
	change[0].Size, change[0].Hash, change[0].StoredAt = 1, Hash{}, time.Time{} // not to be changed by an update
	change[2].State = Gone
	change = append(change, LedgerEntry{Origin: Origin{"home", "never seen", 0}, State: Stored})
	must(t, r.UpdateLedger(t.Context(), "home", change))
	r.reopen()
	if got, err = r.Ledger(t.Context(), "home"); err != nil || !slices.Equal(got, want[:2]) {
		t.Errorf("ledger %+v, want %+v", got, want[:2])
	}
	if other, err := r.Ledger(t.Context(), "work"); err != nil || len(other) != 1 {
		t.Errorf("ledger of the other account %+v", other)
	}
	must(t, r.UpdateLedger(t.Context(), "home", nil))

	// Delivered once more: it is there, and it is listed.
	r.clock.t = start.Add(2 * time.Hour)
	r.deliver(r.from("home", "", 2))
	want[0].Absent, want[0].LastListedAt = 0, first.Add(2*time.Hour)
	if got, err = r.Ledger(t.Context(), "home"); err != nil || got[0] != want[0] {
		t.Errorf("entry %+v, want %+v", got[0], want[0])
	}
}

func TestAdopt(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "old", 1), r.from("home", "other", 2))
	must(t, r.UpdateLedger(t.Context(), "home", []LedgerEntry{{Origin: Origin{Account: "home", UIDL: "old"}, State: DeleteIntended, Absent: 4}}))
	r.clock.t = start.Add(time.Hour)
	adopt := func(uidl string, n int, old string) Delivered {
		d := r.from("home", uidl, n)
		d.Adopt, d.ListSize = &Origin{Account: "home", UIDL: old}, 42
		return r.deliver(d)[0]
	}
	if out := adopt("new", 1, "old"); !out.Duplicate {
		t.Errorf("adopted as %v", out)
	}
	if out := adopt("new", 1, "other"); !out.Duplicate {
		t.Errorf("known already, but %v", out)
	}
	if out := adopt("more", 3, "other"); out.Duplicate {
		t.Errorf("another content, but %v", out)
	}
	if out := adopt("most", 4, "nothing"); out.Duplicate {
		t.Errorf("nothing to adopt, but %v", out)
	}
	r.want("INBOX", "1  number 1\n2  number 2\n3  number 3\n4  number 4")
	entries, err := r.Ledger(t.Context(), "home")
	must(t, err)
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.UIDL)
		if e.UIDL == "new" && (e.State != Stored || e.ListSize != 42 || e.Absent != 0 || !e.StoredAt.Equal(start) || !e.LastListedAt.Equal(r.clock.t)) {
			t.Errorf("adopted entry %+v", e)
		}
	}
	if got := strings.Join(ids, " "); got != "more most new other" {
		t.Errorf("ledger %s", got)
	}
	if st, err := r.AccountState(t.Context(), "home"); err != nil || st.Stored != 4 {
		t.Errorf("state %+v, %v", st, err)
	}
}

func TestAccountState(t *testing.T) {
	r := newStore(t)
	if st, err := r.AccountState(t.Context(), "home"); err != nil || st != (AccountState{}) {
		t.Errorf("new account %+v, %v", st, err)
	}
	want := AccountState{Stored: 77, OnServer: 3, LastSuccess: start.Local(), LastError: "no", HadUIDL: true}
	must(t, r.SetAccountState(t.Context(), "home", want))
	r.deliver(r.from("home", "A", 1))
	want.Stored = 1
	r.reopen()
	if st, err := r.AccountState(t.Context(), "home"); err != nil || st != want {
		t.Errorf("state %+v, %v", st, err)
	}
	must(t, r.SetAccountState(t.Context(), "home", AccountState{}))
	if st, err := r.AccountState(t.Context(), "home"); err != nil || st != (AccountState{Stored: 1}) {
		t.Errorf("state %+v, %v", st, err)
	}
}

func TestAllOrNothing(t *testing.T) {
	r := newStore(t)
	good := func() Delivery { return r.from("home", "A", 1) }
	bad := good()
	bad.Mailbox, bad.Origin = 999, nil
	_, err := r.Deliver(t.Context(), []Delivery{good(), bad})
	wantKind(t, err, fault.NotFound)
	bad = good()
	bad.Flags = []string{`\Unheard`}
	_, err = r.Deliver(t.Context(), []Delivery{good(), bad})
	wantKind(t, err, fault.Config)
	if got := r.box("INBOX"); got.Messages != 0 || got.UIDNext != 1 {
		t.Errorf("left %+v", got)
	}
	if out, err := r.Deliver(t.Context(), nil); err != nil || len(out) != 0 {
		t.Errorf("nothing became %v, %v", out, err)
	}
	if files, err := r.files.Any(); files || err != nil {
		t.Errorf("message files were left: %v", err)
	}
	sp := r.spool("x")
	sp.Discard()
	sp.Discard()
}

func TestOneFileHoweverOften(t *testing.T) {
	r := newStore(t)
	sp := r.spool(text(1))
	r.deliver(
		Delivery{Mailbox: r.id("INBOX"), Message: sp},
		Delivery{Mailbox: r.id("Sent"), Message: sp},
		Delivery{Mailbox: r.id("INBOX"), Message: r.spool(text(1))},
	)
	sp.Discard()
	r.append("Archive", 1)
	n := 0
	must(t, filepath.WalkDir(filepath.Join(r.dir, "mail"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	if n != 1 {
		t.Errorf("%d files", n)
	}
	r.want("INBOX", "1  number 1\n2  number 1")
}

func TestADamagedFileIsReplaced(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	must(t, os.Truncate(r.path(hashOf(text(1))), 3))
	r.append("INBOX", 1)
}

func TestContentsStayForADay(t *testing.T) {
	r := newStore(t)
	must(t, r.Close())
	r.keep = time.Second // which is too little
	r.open()
	for n := 1; n <= 3; n++ {
		r.append("INBOX", n, `\Deleted`)
	}
	p := r.view("INBOX").Snapshot()
	_, err := r.Copy(t.Context(), r.id("INBOX"), []UID{2}, r.id("Sent"))
	must(t, err)
	_, err = r.Expunge(t.Context(), r.id("INBOX"), nil)
	must(t, err)
	contents, err := r.Contents(t.Context(), p.Contents, WantFile|wantSummary)
	must(t, err)
	for i, c := range contents {
		if string(r.read(c.Hash)) != text(i+1) || c.Summary.Envelope.Subject() == "" {
			t.Errorf("content %d is gone", i)
		}
	}
	r.clock.t = start.Add(23 * time.Hour)
	r.reopen()
	r.append("Archive", 3) // wanted again
	r.clock.t = start.Add(25 * time.Hour)
	r.reopen()
	after, err := r.Contents(t.Context(), p.Contents, WantFile|wantSummary)
	must(t, err)
	if !after[0].Gone || after[0].Hash != (Hash{}) || after[0].ID != p.Contents[0] || after[0].Summary.Root == nil {
		t.Errorf("the first content is %+v", after[0])
	}
	if _, err := r.OpenContent(contents[0].Hash); !fault.Is(err, fault.Corrupt) {
		t.Errorf("its file: %v", err)
	}
	if after[1].Hash != contents[1].Hash || after[2].Hash != contents[2].Hash {
		t.Error("a content that is in use was purged")
	}
}

func TestSummariesAreRenewed(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 4)
	r.sql(`UPDATE envelope SET version = ? WHERE content_id = 1`, message.SummaryVersion-1)
	r.sql(`UPDATE structure SET data = x'0102' WHERE content_id = 2`)
	r.sql(`DELETE FROM header WHERE content_id = 3`)
	r.sql(`UPDATE header SET data = x'' WHERE content_id = 4`)
	for range 2 {
		got, err := r.Contents(t.Context(), []ContentID{3, 1, 2, 4, 1, 77}, WantFile|wantSummary)
		must(t, err)
		for i, n := range []string{"number 3", "number 1", "number 2", "number 4", "number 1", ""} {
			if got[i].Summary == nil || got[i].Summary.Envelope.Subject() != n {
				t.Errorf("summary %d is %+v", i, got[i].Summary)
			}
		}
		var stale int
		must(t, r.reader.get(t.Context(), `SELECT count(*) FROM content LEFT JOIN envelope e ON e.content_id = id
			LEFT JOIN header h ON h.content_id = id LEFT JOIN structure s ON s.content_id = id
			WHERE e.version IS NOT ?1 OR h.version IS NOT ?1 OR s.version IS NOT ?1 OR length(s.data) < 5 OR length(h.data) < 5`,
			[]any{message.SummaryVersion}, &stale))
		if stale > 0 {
			t.Errorf("%d summaries were not stored", stale)
		}
	}
}

// TestContentsGiveWhatIsWanted: dense ids and scattered ones, each piece alone.
func TestContentsGiveWhatIsWanted(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 30)
	long := "Subject: long\r\nReferences: " + strings.Repeat("<id@example.org>\r\n ", 500) + "\r\n\r\ntext\r\n"
	r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: r.spool(long), ReceivedAt: start})
	for _, ids := range [][]ContentID{{1, 2, 3, 31}, {31, 1, 30, 1}, {2}, {31}} {
		for want := range WantFile | wantSummary + 1 {
			got, err := r.Contents(t.Context(), ids, want)
			must(t, err)
			for i, c := range got {
				incomplete := ids[i] == 31 && want&WantHeader != 0
				if c.ID != ids[i] || c.Gone || (c.Size > 0) != (want&WantFile != 0 || incomplete || want == 0) {
					t.Fatalf("%v, want %b: %+v", ids, want, c)
				}
				if want&wantSummary == 0 {
					continue
				}
				if (c.Summary.Envelope.Subject() != "") != (want&WantEnvelope != 0) || (c.Summary.Root != nil) != (want&WantStructure != 0) ||
					(len(c.Summary.Structure) > 0) != (want&(WantBody|WantStructure) != 0) ||
					c.Summary.Header.Complete() != (want&WantHeader != 0 && ids[i] != 31) {
					t.Fatalf("%v, want %b: %+v", ids, want, c.Summary)
				}
			}
		}
	}
}

func TestContentsByHash(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 700)
	hashes := []Hash{hashOf("unknown"), hashOf(text(700)), {}}
	for n := range 700 {
		hashes = append(hashes, hashOf(text(n+1)))
	}
	got, err := r.ContentsOf(t.Context(), hashes, WantEnvelope)
	must(t, err)
	for i, c := range got {
		if want := itoa(max(i-2, 0)); i == 0 || i == 2 {
			if !c.Gone {
				t.Errorf("content %d is there: %+v", i, c)
			}
		} else if i > 2 && c.Summary.Envelope.Subject() != "number "+want {
			t.Errorf("content %d is %q", i, c.Summary.Envelope.Subject())
		}
	}
	if got[1].Summary.Envelope.Subject() != "number 700" {
		t.Errorf("a hash asked for twice gave %+v", got[1])
	}
}

func TestAFileThatIsMissingSpoilsNothingElse(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	path := r.path(hashOf(text(1)))
	must(t, os.Rename(path, path+".away"))
	for _, p := range pieces {
		r.sql(`DELETE FROM ` + p.table)
	}
	got, err := r.Contents(t.Context(), []ContentID{1, 2}, WantFile|wantSummary)
	must(t, err)
	if got[0].Summary.Envelope.Subject() != "" || got[1].Summary.Envelope.Subject() != "number 2" {
		t.Errorf("contents %+v", got)
	}
	_, err = r.OpenContent(got[0].Hash)
	wantKind(t, err, fault.Corrupt)
	must(t, os.Rename(path+".away", path))
	if got, err = r.Contents(t.Context(), []ContentID{1}, WantFile|wantSummary); err != nil || got[0].Summary.Envelope.Subject() != "number 1" {
		t.Errorf("content %+v, %v", got, err)
	}
}
