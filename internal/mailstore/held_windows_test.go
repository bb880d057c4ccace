package mailstore

import (
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/popbridge/popbridge/internal/mailflags"
)

// TestFilesHeldOpenAtEachStep has another program open every file that it can get, at
// each step of deliveries, a purge and backups, and close it a tenth of a second later.
func TestFilesHeldOpenAtEachStep(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	dir := t.TempDir()
	s := &scanner{t: t, dirs: []string{r.dir, dir}, seen: map[string]int{}}
	r.hook = s.scan
	r.deliver(r.from("home", "A", 2), r.from("home", "B", 3))
	r.backup(dir)
	r.deliver(r.from("home", "C", 4))
	r.flag([]UID{1, 2}, mailflags.Set, `\Deleted`)
	_, err := r.Expunge(t.Context(), r.id("INBOX"), nil)
	must(t, err)
	r.backup(dir)
	r.clock.t = start.Add(31 * 24 * time.Hour)
	must(t, r.Purge(t.Context()))
	r.hook = nil
	s.done.Wait()
	r.want("INBOX", "3  number 3\n4  number 4")
	r.clean()
	for _, suffix := range []string{".eml", "manifest.json"} {
		if s.seen[suffix] == 0 {
			t.Errorf("no file %s was ever held: %v", suffix, s.seen)
		}
	}

	// The index itself, while the store is opened.
	must(t, r.Close())
	s.hold(filepath.Join(r.dir, "index.db"))
	r.open()
	r.clean()
}

// scanner opens files as a virus scanner does that shares them with no one.
type scanner struct {
	t    *testing.T
	dirs []string
	done sync.WaitGroup

	mu   sync.Mutex
	seen map[string]int // by how the names of files end
}

func (s *scanner) scan(string) error {
	for _, dir := range s.dirs {
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !strings.Contains(e.Name(), "index") {
				s.hold(path)
			}
			return nil
		})
	}
	return nil
}

func (s *scanner) hold(path string) {
	name, err := windows.UTF16PtrFromString(path)
	must(s.t, err)
	h, err := windows.CreateFile(name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil { // someone has it open
		return
	}
	s.mu.Lock()
	for _, suffix := range []string{".eml", "manifest.json"} {
		if strings.HasSuffix(path, suffix) {
			s.seen[suffix]++
		}
	}
	s.mu.Unlock()
	s.done.Add(1)
	time.AfterFunc(100*time.Millisecond, func() {
		_ = windows.CloseHandle(h)
		s.done.Done()
	})
}
