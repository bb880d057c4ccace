package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// historyDays is how many days are kept.
const historyDays = 400

// Day is what came on a day, and how much there was at its end.
type Day struct {
	Day      string `json:"day"`      // 2006-01-02, in the time zone of the agent
	Messages int64  `json:"messages"` // that were stored on it
	Bytes    int64  `json:"bytes"`    // that all mail takes on the disk
}

// A History is a table of days in a file. It is safe for use by several goroutines.
type History struct {
	path string
	mu   sync.Mutex
	read bool
	kept kept
}

// kept is the file.
type kept struct {
	// Accounts are the messages that each ever stored, when it was written: what comes more
	// is new. One that was removed stays, and may come back.
	Accounts map[string]int64 `json:"accounts"`
	Days     []Day            `json:"days"` // without gaps, the oldest first
}

// NewHistory returns the history in a file, which is read when it is needed.
func NewHistory(path string) *History { return &History{path: path} }

// Note writes down how it is now: how many messages each account ever stored, and how many
// bytes all mail takes. The first time of an account is what its next ones are compared
// with, but for one that Begin knows. A file that cannot be read is begun anew.
func (h *History) Note(now time.Time, stored map[string]int64, bytes int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	var before Day
	if n := len(h.kept.Days); n > 0 {
		before = h.kept.Days[n-1]
	}
	today := h.day(now)
	same := today.Day == before.Day && today.Bytes == bytes
	for account, n := range stored {
		was, known := h.kept.Accounts[account]
		same = same && known && n == was
		if known {
			today.Messages += max(0, n-was)
		}
		h.kept.Accounts[account] = n
	}
	today.Bytes = bytes
	if same {
		return nil
	}
	return h.write()
}

// Begin notes an account that has stored nothing yet: all that comes from now on is new,
// that of its first poll as well.
func (h *History) Begin(account string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	if _, known := h.kept.Accounts[account]; known {
		return nil
	}
	h.kept.Accounts[account] = 0
	return h.write()
}

func (h *History) write() error {
	data, err := json.Marshal(h.kept)
	if err != nil {
		return err
	}
	return atomicfile.Write(h.path, 0o600, data)
}

// Last returns the last n days up to now, the oldest first; fewer where fewer are known.
func (h *History) Last(n int) []Day {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	return append([]Day{}, h.kept.Days[max(0, len(h.kept.Days)-n):]...)
}

// day returns the entry of today, after those of the days on which nothing was noted. A
// clock that goes back adds to the last one.
func (h *History) day(now time.Time) *Day {
	const form = time.DateOnly
	for today := now.Format(form); ; {
		last := len(h.kept.Days) - 1
		if last >= 0 && h.kept.Days[last].Day >= today {
			return &h.kept.Days[last]
		}
		next := Day{Day: today}
		if last >= 0 {
			next.Bytes = h.kept.Days[last].Bytes
			if at, err := time.Parse(form, h.kept.Days[last].Day); err == nil && now.Sub(at) < historyDays*24*time.Hour {
				next.Day = at.AddDate(0, 0, 1).Format(form)
			}
		}
		h.kept.Days = append(h.kept.Days, next)
		h.kept.Days = h.kept.Days[max(0, len(h.kept.Days)-historyDays):]
	}
}

func (h *History) load() {
	if h.read {
		return
	}
	h.read = true
	data, err := os.ReadFile(h.path)
	if err == nil {
		err = json.Unmarshal(data, &h.kept)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.kept = kept{}
	}
	if h.kept.Accounts == nil {
		h.kept.Accounts = map[string]int64{}
	}
}
