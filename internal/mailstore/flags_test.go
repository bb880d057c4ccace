package mailstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

func (r *rig) flag(uids []UID, op mailflags.Op, names ...string) []FlagChange {
	r.t.Helper()
	out, err := r.SetFlags(r.t.Context(), r.id("INBOX"), uids, op, names)
	must(r.t, err)
	return out
}

func TestSetFlags(t *testing.T) {
	for _, c := range []struct {
		name   string
		before string
		op     mailflags.Op
		names  string
		after  string
	}{
		{"add", `\Seen a`, mailflags.Add, `\Flagged b`, `\Seen \Flagged a b`},
		{"add what is there", `\Seen a`, mailflags.Add, `\seen A`, `\Seen a`},
		{"add nothing", `\Seen a`, mailflags.Add, ``, `\Seen a`},
		{"remove", `\Seen \Flagged a b`, mailflags.Remove, `\SEEN B`, `\Flagged a`},
		{"remove what is not there", `a`, mailflags.Remove, `\Seen b`, `a`},
		{"remove nothing", `\Seen a`, mailflags.Remove, ``, `\Seen a`},
		{"set", `\Seen a b`, mailflags.Set, `\Draft c`, `\Draft c`},
		{"set nothing", `\Seen a b`, mailflags.Set, ``, ``},
		{"recent is not stored", `\Seen`, mailflags.Set, `\Recent \Answered`, `\Answered`},
		{"first spelling wins", `$Forwarded`, mailflags.Set, `$FORWARDED $forwarded`, `$Forwarded`},
		{"sorted without case", ``, mailflags.Set, `b A C`, `A b C`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newStore(t)
			r.append("INBOX", 1, strings.Fields(c.before)...)
			got := r.flag([]UID{1}, c.op, strings.Fields(c.names)...)
			if s := strings.Join(r.FlagNames(got[0].Flags), " "); s != c.after {
				t.Errorf("answer %q, want %q", s, c.after)
			}
			changed := c.before != c.after
			if (got[0].ModSeq == 3) != changed || (r.box("INBOX").HighestModSeq == 3) != changed {
				t.Errorf("modseq %d, changed %v", got[0].ModSeq, changed)
			}
			r.reopen()
			r.want("INBOX", "1 "+c.after+" number 1")
		})
	}
}

func TestSetFlagsAnswersForWhatExists(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 200)
	r.flag([]UID{5, 6, 7, 150}, mailflags.Add, `\Deleted`)
	_, err := r.Expunge(t.Context(), r.id("INBOX"), nil)
	must(t, err)
	v := r.view("INBOX")
	got := r.flag([]UID{150, 149, 4, 4, 6, 8, 151, 9999, 0}, mailflags.Add, `\Seen`, "x")
	var uids []UID
	for _, c := range got {
		uids = append(uids, c.UID)
	}
	if !slices.Equal(uids, []UID{4, 8, 149, 151}) {
		t.Errorf("answered for %v", uids)
	}
	r.fresh(v)
	if m := r.box("INBOX"); m.Unseen != 192 {
		t.Errorf("%d unseen", m.Unseen)
	}
	if got := r.flag(nil, mailflags.Add, `\Seen`); len(got) != 0 {
		t.Errorf("no uids: answered for %v", got)
	}
}

// fresh fails when the snapshot of a view is not what a new scan gives.
func (r *rig) fresh(v *View) {
	r.t.Helper()
	r.writer.mu.Lock()
	want, err := r.loadLocked(r.t.Context(), v.id)
	r.writer.mu.Unlock()
	must(r.t, err)
	got := v.Snapshot()
	if got.Mailbox != want.Mailbox || got.RecentFrom != want.RecentFrom {
		r.t.Errorf("snapshot has %+v, the index %+v", got.Mailbox, want.Mailbox)
	}
	if !slices.Equal(got.UIDs, want.UIDs) || !slices.Equal(got.Flags, want.Flags) || !slices.Equal(got.ModSeqs, want.ModSeqs) ||
		!slices.Equal(got.Sizes, want.Sizes) || !slices.Equal(got.Received, want.Received) || !slices.Equal(got.Contents, want.Contents) {
		r.t.Errorf("snapshot\n%+v\nindex\n%+v", got, want)
	}
}

func TestRangesNeverTouchTheOthers(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 30)
	r.flag([]UID{3, 4, 5, 10, 12, 14}, mailflags.Set, `\Seen`, "k")
	v := r.view("INBOX")
	r.flag([]UID{2, 3, 5, 6, 9, 11, 12, 13}, mailflags.Add, `\Flagged`)
	r.fresh(v)
	var got []string
	p := v.Snapshot()
	for i, f := range p.Flags {
		if f != (mailflags.Flags{}) {
			got = append(got, fmt.Sprintf("%d%v", p.UIDs[i], r.FlagNames(f)))
		}
	}
	want := `2[\Flagged] 3[\Seen \Flagged k] 4[\Seen k] 5[\Seen \Flagged k] 6[\Flagged] 9[\Flagged] 10[\Seen k] 11[\Flagged] 12[\Seen \Flagged k] 13[\Flagged] 14[\Seen k]`
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	r.flag([]UID{2, 3, 4, 5, 11, 12, 13}, mailflags.Add, `\Deleted`)
	uids, err := r.Expunge(t.Context(), r.id("INBOX"), []UID{1, 3, 4, 11, 13, 14})
	must(t, err)
	if !slices.Equal(uids, []UID{3, 4, 11, 13}) {
		t.Errorf("expunged %v", uids)
	}
	r.fresh(v)
	if uids, err = r.Expunge(t.Context(), r.id("INBOX"), nil); err != nil || !slices.Equal(uids, []UID{2, 5, 12}) {
		t.Errorf("expunged %v, %v", uids, err)
	}
	r.fresh(v)
	if uids, err = r.Expunge(t.Context(), r.id("INBOX"), nil); err != nil || len(uids) != 0 {
		t.Errorf("expunged %v, %v", uids, err)
	}
	if m := r.box("INBOX"); m.Messages != 23 || m.HighestModSeq != 7 {
		t.Errorf("left %+v", m)
	}
}

func TestManyKeywords(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	var all []string
	for i := range mailflags.MaxWords {
		all = append(all, fmt.Sprintf("word%03d", i))
	}
	r.flag([]UID{1}, mailflags.Set, all...)
	for _, w := range all[:10] {
		r.flag([]UID{2}, mailflags.Add, strings.ToUpper(w))
	}
	for range 2 {
		p := r.view("INBOX").Snapshot()
		if got := r.FlagNames(p.Flags[0]); !slices.Equal(got, all) {
			t.Errorf("%d keywords", len(got))
		}
		if got := r.FlagNames(p.Flags[1]); !slices.Equal(got, all[:10]) {
			t.Errorf("keywords %q", got)
		}
		r.reopen()
	}
}

func TestFlagNamesThatCannotBe(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	for _, bad := range []string{"", "two words", "(", "a)", "a{", "50%", "*", `quo"te`, `back\slash`, "]", "\x7f", "tab\t", "grün", `\Unknown`, `\`} {
		_, err := r.SetFlags(t.Context(), r.id("INBOX"), []UID{1}, mailflags.Add, []string{bad})
		wantKind(t, err, fault.Config)
	}
	r.flag([]UID{1}, mailflags.Set, "$Junk", "a[b", "!#&'+,-./:;<=>?@^_`|}~")
	r.want("INBOX", "1 !#&'+,-./:;<=>?@^_`|}~ $Junk a[b number 1")
}

func TestKeywordsOfARollbackAreNotKept(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	_, err := r.Deliver(t.Context(), []Delivery{
		{Mailbox: r.id("INBOX"), Message: r.spool("x"), Flags: []string{"lost"}},
		{Mailbox: 99, Message: r.spool("y")},
	})
	wantKind(t, err, fault.NotFound)
	r.flag([]UID{1}, mailflags.Add, "found")
	r.flag([]UID{1}, mailflags.Add, "lost")
	r.reopen()
	r.want("INBOX", "1 found lost number 1")
}

func TestCopyAndMove(t *testing.T) {
	r := newStore(t)
	for n := 1; n <= 5; n++ {
		r.append("INBOX", n, "k", `\Seen`)
	}
	in, sent := r.view("INBOX"), r.view("Sent")
	r.append("Sent", 9)
	got, err := r.Copy(t.Context(), r.id("INBOX"), []UID{4, 2, 77}, r.id("Sent"))
	must(t, err)
	if got.UIDValidity != r.box("Sent").UIDValidity || !slices.Equal(got.From, []UID{2, 4}) || !slices.Equal(got.To, []UID{2, 3}) {
		t.Errorf("copied %+v", got)
	}
	if p := sent.Snapshot(); p.Received[1] != start.Unix()+2 {
		t.Error("the copy has another date")
	}
	got, err = r.Move(t.Context(), r.id("INBOX"), []UID{1, 2, 5}, r.id("Sent"))
	must(t, err)
	if !slices.Equal(got.From, []UID{1, 2, 5}) || !slices.Equal(got.To, []UID{4, 5, 6}) {
		t.Errorf("moved %+v", got)
	}
	r.fresh(in)
	r.fresh(sent)
	got, err = r.Move(t.Context(), r.id("INBOX"), []UID{3}, r.id("INBOX"))
	must(t, err)
	if !slices.Equal(got.From, []UID{3}) || !slices.Equal(got.To, []UID{6}) {
		t.Errorf("moved %+v", got)
	}
	r.fresh(in)
	got, err = r.Copy(t.Context(), r.id("INBOX"), []UID{6, 4}, r.id("INBOX"))
	must(t, err)
	if !slices.Equal(got.To, []UID{7, 8}) {
		t.Errorf("copied %+v", got)
	}
	r.fresh(in)
	r.want("INBOX", "4 \\Seen k number 4\n6 \\Seen k number 3\n7 \\Seen k number 4\n8 \\Seen k number 3")
	r.want("Sent", "1  number 9\n2 \\Seen k number 2\n3 \\Seen k number 4\n4 \\Seen k number 1\n5 \\Seen k number 2\n6 \\Seen k number 5")
	for _, f := range []func() (CopyResult, error){
		func() (CopyResult, error) { return r.Copy(t.Context(), r.id("INBOX"), []UID{1, 99}, r.id("Sent")) },
		func() (CopyResult, error) { return r.Move(t.Context(), r.id("INBOX"), nil, r.id("Sent")) },
	} {
		if got, err := f(); err != nil || len(got.From)+len(got.To) != 0 || got.UIDValidity == 0 {
			t.Errorf("nothing became %+v, %v", got, err)
		}
	}
	_, err = r.Move(t.Context(), r.id("INBOX"), []UID{4}, 999)
	wantKind(t, err, fault.NotFound)
}
