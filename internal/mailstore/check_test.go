package mailstore

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// codes returns what the check finds, sorted, each code once.
func (r *rig) codes() []string {
	r.t.Helper()
	problems, err := r.Check(r.t.Context(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, p := range problems {
		out = append(out, p.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *rig) sql(query string, args ...any) {
	r.t.Helper()
	err := r.write(r.t.Context(), "test", func(t *tx) error { return t.exec(query, args...) })
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	hash := func(r *rig) Hash { return hashOf(text(1)) }
	for _, c := range []struct {
		name   string
		damage func(r *rig)
		want   string
	}{
		{"file missing", func(r *rig) { must(r.t, os.Remove(r.path(hash(r)))) }, "missing-file"},
		{"file truncated", func(r *rig) { must(r.t, os.Truncate(r.path(hash(r)), 10)) }, "truncated-file"},
		{"file replaced by a folder", func(r *rig) {
			must(r.t, os.Remove(r.path(hash(r))))
			must(r.t, os.Mkdir(r.path(hash(r)), 0o700))
		}, "unreadable-file"},
		{"bit flipped", func(r *rig) {
			data := r.read(hash(r))
			data[20] ^= 1
			must(r.t, os.WriteFile(r.path(hash(r)), data, 0o600))
		}, "changed-file"},
		{"file no one knows", func(r *rig) {
			must(r.t, os.WriteFile(r.path(Hash{1}), []byte("x"), 0o600))
		}, "orphan-file"},
		{"messages", func(r *rig) { r.sql(`UPDATE mailbox SET messages = messages + 1`) }, "wrong-count"},
		{"unseen", func(r *rig) { r.sql(`UPDATE mailbox SET unseen = unseen + 1`) }, "wrong-count"},
		{"deleted", func(r *rig) { r.sql(`UPDATE mailbox SET deleted = 7`) }, "wrong-count"},
		{"size", func(r *rig) { r.sql(`UPDATE mailbox SET size = 0`) }, "wrong-count"},
		{"recent", func(r *rig) { r.sql(`UPDATE mailbox SET recent = 7`) }, "wrong-count"},
		{"uidnext", func(r *rig) { r.sql(`UPDATE mailbox SET uidnext = 1`) }, "wrong-next"},
		{"modseq", func(r *rig) { r.sql(`UPDATE mailbox SET modseq = 1`) }, "wrong-next"},
		{"uidvalidity", func(r *rig) { r.sql(`UPDATE mailbox SET uidvalidity = uidvalidity + 1000`) }, "wrong-uidvalidity"},
		{"message size", func(r *rig) { r.sql(`UPDATE content SET size = size + 1`) }, "truncated-file wrong-size"},
		{"orphan not marked", func(r *rig) {
			r.sql(`UPDATE mailbox SET messages = 2, unseen = 2, recent = 2, size = size - (SELECT size FROM message WHERE uid = 3) WHERE name = 'INBOX'`)
			r.sql(`DELETE FROM message WHERE uid = 3`)
		}, "wrong-orphan"},
		{"orphan marked wrongly", func(r *rig) { r.sql(`UPDATE content SET orphaned_at = 5`) }, "wrong-orphan"},
		{"keywords", func(r *rig) { r.sql(`UPDATE message SET keywords = 77`) }, "missing-keywords"},
		{"no inbox", func(r *rig) { r.sql(`UPDATE mailbox SET name = 'outbox' WHERE name = 'INBOX'`) }, "missing-mailbox"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := bare(t)
			r.fill("INBOX", 3)
			if got := r.codes(); len(got) > 0 {
				t.Fatalf("a sound store has %v", got)
			}
			c.damage(r)
			if got := strings.Join(r.codes(), " "); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckFindsADamagedIndex(t *testing.T) {
	r := bare(t)
	r.fill("INBOX", 300)
	must(t, r.Close())
	path := filepath.Join(r.dir, "index.db")
	data, err := os.ReadFile(path)
	must(t, err)
	for i := len(data) * 3 / 4; i < len(data)*3/4+3*4096; i++ { // behind the pages of the schema
		data[i] = 0xa5
	}
	must(t, os.WriteFile(path, data, 0o600))
	r.open()
	if got := r.codes(); !slices.Contains(got, "index-damaged") {
		t.Errorf("found %v", got)
	}
}

func TestCheckReportsProgress(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 5)
	var steps []int
	_, err := r.Check(t.Context(), func(done, total int) {
		if total != 5 {
			t.Errorf("total = %d", total)
		}
		steps = append(steps, done)
	})
	if err != nil || !slices.Equal(steps, []int{1, 2, 3, 4, 5}) {
		t.Errorf("steps %v, %v", steps, err)
	}
}

func TestCheckLeavesForeignFilesAlone(t *testing.T) {
	r := newStore(t)
	for _, name := range []string{".DS_Store", "notes.eml", strings.Repeat("ab", 32) + ".eml", strings.Repeat("0", 64) + ".EML"} {
		must(t, os.WriteFile(filepath.Join(r.dir, "mail", "00", name), nil, 0o600))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
