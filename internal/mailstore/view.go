package mailstore

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
)

// View is one reader of a mailbox. Its methods may be called from several
// goroutines.
type View struct {
	s       *Store
	id      MailboxID
	live    *live
	changed chan struct{}
}

// live is a mailbox that is open: the newest snapshot and its views.
type live struct {
	snap atomic.Pointer[Snapshot]
	gone atomic.Bool

	views map[*View]struct{} // under feed.mu
}

// feed tells readers what was committed. Marks go into channels of capacity
// one, so that neither a slow reader nor a burst of changes needs memory.
type feed struct {
	mu       sync.Mutex
	live     map[MailboxID]*live
	watchers map[chan struct{}]struct{}
	outgoing []chan struct{} // of OutgoingChanges

	rows    map[string]Mailbox // by name, as they were read since the last commit
	commits uint64
}

// row returns the row of a mailbox where it was read since the last commit;
// otherwise commits is for remember.
func (f *feed) row(name string) (m Mailbox, ok bool, commits uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok = f.rows[name]
	return m, ok, f.commits
}

// remember keeps a row, unless something was committed while it was read.
func (f *feed) remember(m Mailbox, commits uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.commits == commits && f.rows != nil {
		f.rows[m.Name] = m
	}
}

func (f *feed) forgetLocked() {
	clear(f.rows)
	f.commits++
}

func mark(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // there is one already
	}
}

// OpenView opens a mailbox. The first view of a mailbox reads it, further ones
// share what is in memory, and do not wait for the writer; the last one to close
// drops it.
func (s *Store) OpenView(ctx context.Context, id MailboxID) (*View, error) {
	if id == EmptyInbox.ID {
		l := &live{views: map[*View]struct{}{}}
		l.snap.Store(&Snapshot{Mailbox: EmptyInbox})
		return &View{s: s, id: id, live: l, changed: make(chan struct{}, 1)}, nil
	}
	if v := s.feed.join(s, id, nil); v != nil {
		return v, nil
	}
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if s.writer.shut {
		return nil, errClosed
	}
	if v := s.feed.join(s, id, nil); v != nil { // opened by another meanwhile
		return v, nil
	}
	snap, err := s.loadLocked(ctx, id)
	if err != nil {
		return nil, failure(err, "open the mailbox")
	}
	return s.feed.join(s, id, snap), nil
}

// join adds a view to a mailbox that is open, or opens it with snap.
func (f *feed) join(s *Store, id MailboxID, snap *Snapshot) *View {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.live[id]
	if l == nil {
		if snap == nil {
			return nil
		}
		l = &live{views: map[*View]struct{}{}}
		l.snap.Store(snap)
		f.live[id] = l
	}
	v := &View{s: s, id: id, live: l, changed: make(chan struct{}, 1)}
	l.views[v] = struct{}{}
	return v
}

// shut lets no more views join.
func (f *feed) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.live)
	f.rows = nil
}

// Snapshot returns the newest published state of the mailbox.
func (v *View) Snapshot() *Snapshot { return v.live.snap.Load() }

// Gone reports whether the mailbox was deleted. Its last snapshot stays.
func (v *View) Gone() bool { return v.live.gone.Load() }

// Changed receives a mark after commits that changed the mailbox: one or more
// since the last mark was taken.
func (v *View) Changed() <-chan struct{} { return v.changed }

// Close ends the view. A second call does nothing.
func (v *View) Close() {
	f := &v.s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(v.live.views, v)
	if len(v.live.views) == 0 && f.live[v.id] == v.live {
		delete(f.live, v.id)
	}
}

// ClaimRecent makes the calling session the one that sees the recent messages
// as \Recent: those with a UID of at least from and below next. For the next
// session, only those from next on are recent. A snapshot taken after this call
// holds all of them.
func (v *View) ClaimRecent(ctx context.Context) (from, next UID, err error) {
	err = v.s.write(ctx, "open the mailbox", func(t *tx) error {
		b, err := t.box(v.id)
		if err != nil {
			return err
		}
		from, next = b.recentFrom, b.UIDNext
		if b.recentFrom != b.UIDNext {
			b.recentFrom, b.Recent, b.touched = b.UIDNext, 0, true
		}
		return nil
	})
	return from, next, err
}

// Watch returns a channel that receives a mark after every commit, and a
// function that ends it.
func (s *Store) Watch() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.feed.watchers[ch] = struct{}{}
	return ch, func() {
		s.feed.mu.Lock()
		defer s.feed.mu.Unlock()
		delete(s.feed.watchers, ch)
	}
}

// refresh makes the recovery log and the mailboxes that are open again, when the
// index may have changed in ways that no transaction has told.
func (s *Store) refresh(ctx context.Context) error {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if s.recovery.keep {
		if err := s.renewLogLocked(ctx); err != nil {
			return err
		}
	}
	return s.reloadLocked(ctx)
}

// reloadLocked reads the mailboxes that are open again.
func (s *Store) reloadLocked(ctx context.Context) error {
	s.feed.mu.Lock()
	open := maps.Clone(s.feed.live)
	s.feed.forgetLocked()
	s.feed.mu.Unlock()
	for id, l := range open {
		snap, err := s.loadLocked(ctx, id)
		if errors.Is(err, errNoMailbox) {
			l.gone.Store(true)
		} else if err != nil {
			return err
		} else {
			l.snap.Store(snap)
		}
		s.feed.mu.Lock()
		for v := range l.views {
			mark(v.changed)
		}
		if l.gone.Load() {
			delete(s.feed.live, id)
		}
		s.feed.mu.Unlock()
	}
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.feed.markAll()
	for _, ch := range s.feed.outgoing {
		mark(ch)
	}
	return nil
}

func (f *feed) markAll() {
	for ch := range f.watchers {
		mark(ch)
	}
}

// publish shows the changes of a committed transaction. The caller holds the
// mutex of the writer, so snapshots follow each other as commits do.
func (s *Store) publish(t *tx) {
	f := &s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgetLocked()
	for _, b := range t.order {
		l := f.live[b.ID]
		if l == nil || !b.touched {
			continue
		}
		l.gone.Store(b.gone)
		l.snap.Store(l.snap.Load().next(b))
		for v := range l.views {
			mark(v.changed)
		}
		if b.gone {
			delete(f.live, b.ID) // no new view joins it
		}
	}
	f.markAll()
	if t.queue {
		for _, ch := range f.outgoing {
			mark(ch)
		}
	}
}
