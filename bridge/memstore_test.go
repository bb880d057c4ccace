package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

var _ Store = (*memStore)(nil)
var _ Store = (*mailstore.Store)(nil)

// memStore is a Store in memory: the ledger rules of mailstore.Deliver, no
// disk, and a watch on what the bridge may never do. Messages are hashed by a
// real store.
type memStore struct {
	spool *mailstore.Store
	now   func() time.Time

	mu       sync.Mutex
	ledger   map[string]map[mailstore.Origin]mailstore.LedgerEntry // by account
	states   map[string]mailstore.AccountState
	mail     map[string]map[mailstore.Hash]int // by account: how often each content was delivered
	broken   []string
	delivers int
	changes  uint64
}

func newMemStore(spool *mailstore.Store, now func() time.Time) *memStore {
	return &memStore{
		spool: spool, now: now,
		ledger: make(map[string]map[mailstore.Origin]mailstore.LedgerEntry),
		states: make(map[string]mailstore.AccountState),
		mail:   make(map[string]map[mailstore.Hash]int),
	}
}

// openSpool is the store that memStores use to hash.
func openSpool(t testing.TB) *mailstore.Store {
	t.Helper()
	store, err := mailstore.Open(context.Background(), t.TempDir(), mailstore.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func (s *memStore) breach(format string, args ...any) {
	if len(s.broken) < 10 {
		s.broken = append(s.broken, fmt.Sprintf(format, args...))
	}
}

func (s *memStore) EnsureMailbox(context.Context, string) (mailstore.Mailbox, error) {
	return mailstore.Mailbox{ID: 1, Name: "INBOX"}, nil
}

func (s *memStore) Spool(ctx context.Context, r io.Reader) (*mailstore.Spooled, error) {
	return s.spool.Spool(ctx, r)
}

func (s *memStore) Deliver(ctx context.Context, batch []mailstore.Delivery) ([]mailstore.Delivered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.delivers++
	s.changes++
	out := make([]mailstore.Delivered, len(batch))
	for i, d := range batch {
		if d.Origin == nil || d.Message.Size() == 0 {
			s.breach("a delivery without origin or bytes")
			return nil, errors.New("no origin")
		}
		out[i] = mailstore.Delivered{UID: 1, UIDValidity: 1, Duplicate: s.register(d)}
		if !out[i].Duplicate {
			if s.mail[d.Origin.Account] == nil {
				s.mail[d.Origin.Account] = make(map[mailstore.Hash]int)
			}
			s.mail[d.Origin.Account][d.Message.Hash()]++
		}
		d.Message.Discard()
	}
	return out, nil
}

func (s *memStore) rows(account string) map[mailstore.Origin]mailstore.LedgerEntry {
	if s.ledger[account] == nil {
		s.ledger[account] = make(map[mailstore.Origin]mailstore.LedgerEntry)
	}
	return s.ledger[account]
}

// register is the function of this name in mailstore, on a map.
func (s *memStore) register(d mailstore.Delivery) (known bool) {
	o, hash, now := *d.Origin, d.Message.Hash(), s.now()
	ledger := s.rows(o.Account)
	row, taken := ledger[o]
	if taken && row.Hash == hash {
		row.LastListedAt, row.Absent, row.Doubt = now, 0, d.Doubt
		ledger[o] = row
		return true
	}
	if !taken && d.Adopt != nil {
		if old, ok := ledger[*d.Adopt]; ok && old.Hash == hash {
			delete(ledger, *d.Adopt)
			old.Origin, old.ListSize, old.State, old.LastListedAt, old.Absent = o, d.ListSize, mailstore.Stored, now, 0
			old.Doubt = d.Doubt
			ledger[o] = old
			return true
		}
	}
	if taken && row.Doubt == mailstore.NoDoubt {
		s.breach("the row of %v is overwritten by another content", o)
	}
	ledger[o] = mailstore.LedgerEntry{
		Origin: o, Hash: hash, Size: d.Message.Size(), ListSize: d.ListSize,
		State: mailstore.Stored, Doubt: d.Doubt, StoredAt: now, LastListedAt: now,
	}
	return false
}

func (s *memStore) Ledger(_ context.Context, account string) (rows []mailstore.LedgerEntry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows = make([]mailstore.LedgerEntry, 0, len(s.ledger[account]))
	for _, e := range s.ledger[account] {
		rows = append(rows, e)
	}
	slices.SortFunc(rows, func(a, b mailstore.LedgerEntry) int { return a.Compare(b.Origin) })
	return rows, nil
}

func (s *memStore) Doubts(ctx context.Context, account string) ([]mailstore.LedgerEntry, error) {
	rows, err := s.Ledger(ctx, account)
	return slices.DeleteFunc(rows, func(e mailstore.LedgerEntry) bool { return e.Doubt == mailstore.NoDoubt }), err
}

func (s *memStore) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

func (s *memStore) UpdateLedger(ctx context.Context, account string, changes []mailstore.LedgerEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if err := ctx.Err(); err != nil {
		return err
	}
	ledger := s.rows(account)
	for _, c := range changes {
		row, known := ledger[c.Origin]
		switch {
		case !known || c.Account != account:
			s.breach("%s changes the row %v, which it has not", account, c.Origin)
		case c.State == mailstore.Gone:
			delete(ledger, c.Origin)
		default:
			row.State, row.Doubt, row.LastListedAt, row.Absent, row.ListSize = c.State, c.Doubt, c.LastListedAt, c.Absent, c.ListSize
			ledger[c.Origin] = row
		}
	}
	return nil
}

func (s *memStore) AccountState(_ context.Context, account string) (mailstore.AccountState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[account], nil
}

func (s *memStore) Inherit(context.Context, string, func(string, string) bool) (mailstore.AccountState, bool, error) {
	return mailstore.AccountState{}, false, nil
}

func (s *memStore) SetAccountState(_ context.Context, account string, state mailstore.AccountState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[account] = state
	return nil
}

// count is how often a content was delivered for an account.
func (s *memStore) count(account string, hash mailstore.Hash) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mail[account][hash]
}

func (s *memStore) check(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.broken {
		t.Error(b)
	}
}

// Readopt is the method of this name in mailstore, on a map.
func (s *memStore) Readopt(_ context.Context, account string, moves []mailstore.Readoption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	ledger := s.rows(account)
	for _, m := range moves {
		row, known := ledger[m.From]
		if _, taken := ledger[m.To]; !known || taken {
			s.breach("%s gives the row %v the id %v", account, m.From, m.To)
			continue
		}
		delete(ledger, m.From)
		row.Origin, row.ListSize, row.State, row.LastListedAt, row.Absent = m.To, m.ListSize, mailstore.Presumed, s.now(), 0
		ledger[m.To] = row
	}
	return nil
}
