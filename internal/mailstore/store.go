package mailstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/internal/textindex"
)

// Options are what Open may be given; the zero value will do.
type Options struct {
	Log zerolog.Logger
	Now func() time.Time // nil: time.Now

	// KeepExpunged is how long expunged messages can be restored, at least one
	// day, because sessions may still show them; 0: for ever.
	KeepExpunged time.Duration

	// IndexText keeps the text index up while the store is open. Without it a
	// search reads every message.
	IndexText bool

	// ID is the identity that the store must have; it is not made then where it is
	// missing. Empty: any.
	ID string
	// Lease is how far the store is known to have come. Extend, which may be nil,
	// is called before a commit that goes beyond the lease, with the identity and
	// the new one: when it returns, that is durable. It must not use the store.
	Lease  Lease
	Extend func(id string, l Lease)
}

// Store is the mail of one user. Its methods may be called from several
// goroutines.
type Store struct {
	dir       string
	files     contents.Files
	log       zerolog.Logger
	now       func() time.Time
	keep      time.Duration // how long what was expunged stays
	writer    writer
	reader    reader
	recovery  recoveryLog
	keywords  *mailflags.Table
	feed      feed
	backups   sync.RWMutex // a backup holds it for reading, a purge for writing
	passwords *password.Checker
	text      textindex.Index

	id         int64 // 0: not known yet
	generation int64 // as of the last commit; this and the rest under the mutex of the writer
	lease      Lease
	extend     func(string, Lease)
	putBack    bool

	// hook is called before each step that a crash or a full disk can stop,
	// and may make it fail. Only tests set it.
	hook func(step string) error
}

func (s *Store) step(name string) error {
	failpoint.Hit(name)
	if s.hook == nil {
		return nil
	}
	return s.hook(name)
}

// Open opens the store in dir, the folder of one user, and makes it where there
// is none. A store must be open only once at a time.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	s, err := prepare(dir, o)
	if err == nil {
		err = s.open(ctx, o)
	}
	if err != nil {
		_ = s.Close() // the first error says it all
		return nil, failure(err, "open the mail store")
	}
	return s, nil
}

// prepare makes a store that is not open yet.
func prepare(dir string, o Options) (s *Store, err error) {
	s = &Store{log: o.Log, now: o.Now, keep: keepFor(o.KeepExpunged), lease: o.Lease, extend: o.Extend,
		passwords: password.NewChecker(), keywords: mailflags.NewTable()}
	if s.now == nil {
		s.now = time.Now
	}
	s.feed = feed{live: map[MailboxID]*live{}, watchers: map[chan struct{}]struct{}{}, rows: map[string]Mailbox{}}
	if s.dir, err = filepath.Abs(dir); err == nil {
		s.id, err = parseID(o.ID)
	}
	s.files.Dir, s.files.Log, s.files.Step = s.dir, s.log, s.step
	s.files.Known = func(h Hash) (bool, error) { return s.knows(context.Background(), h) }
	return s, err
}

func (s *Store) open(ctx context.Context, o Options) error {
	if err := s.checkOwner(); err != nil {
		return err
	}
	if s.id != 0 {
		if err := s.present(); err != nil {
			return err
		}
	}
	path := s.indexPath()
	if err := atomicfile.Await(path); err != nil {
		return err
	}
	version, err := s.schemaVersion(ctx, path)
	if err != nil {
		return err
	}
	if err := s.files.Make("tmp"); err != nil {
		return err
	}
	if err := s.writer.open(ctx, path); err != nil {
		return err
	}
	if version > 0 && version < len(migrations) {
		if err := s.keepFormer(ctx, version); err != nil {
			return err
		}
	}
	if version < len(migrations) {
		if err := s.migrate(ctx, (*tx).createDefaults); err != nil {
			return err
		}
	}
	if err := s.reader.open(path); err != nil {
		return err
	}
	if err := s.loadIdentity(ctx); err != nil {
		return err
	}
	if err := s.loadKeywords(); err != nil {
		return err
	}
	if err := s.reconcile(ctx); err != nil {
		return err
	}
	if err := s.doubtHandovers(ctx); err != nil {
		return err
	}
	if version > 0 && o.Extend != nil && o.Lease == (Lease{}) { // nothing is known of it here
		if err := s.write(ctx, "look through the Outbox", (*tx).hold); err != nil {
			return err
		}
	}
	if err := s.files.Sweep(); err != nil {
		return err
	}
	if err := s.Purge(ctx); err != nil {
		return err
	}
	if o.IndexText {
		s.text.Start(s.textDir(), indexedStore{s}, s.log)
	}
	return nil
}

// Close waits for the transaction under way and closes the index. Views keep
// their last snapshot.
func (s *Store) Close() error {
	s.text.Stop()
	s.files.Close()
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if s.writer.shut {
		return nil
	}
	s.feed.shut()
	// The writer last: the last connection folds the log into the database.
	s.dropLogLocked()
	return failure(errors.Join(s.reader.close(), s.writer.closeLocked()), "close the mail store")
}

// hasMail reports whether there is anything that an index belongs to.
func (s *Store) hasMail() (bool, error) {
	if _, err := os.Lstat(s.logPath()); !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	return s.files.Any()
}
