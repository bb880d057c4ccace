package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/failpoint"
)

// writer is the one connection that changes the index. mu is held from the
// start of a transaction until its changes are published.
type writer struct {
	mu    sync.Mutex
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	shut  bool

	path    string      // of the index; Rebuild has another one
	info    os.FileInfo // of the file that is open
	suspect bool        // to be opened again before the next use

	changes atomic.Uint64 // see Store.Changes
}

func (w *writer) open(ctx context.Context, path string) (err error) {
	// SQLite makes files by the umask; the log and the rest get the mode of this one.
	f, err := atomicfile.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if w.db, err = sql.Open("sqlite", dsn(path, writePragmas...)); err != nil {
		return err
	}
	w.path = path
	w.changes.Add(1) // it may be another file than before
	w.db.SetMaxOpenConns(1)
	w.stmts = map[string]*sql.Stmt{}
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	w.info, err = os.Stat(path)
	return err
}

func (w *writer) closeLocked() error {
	w.shut = true
	return w.dropLocked()
}

func (w *writer) dropLocked() error {
	for _, st := range w.stmts {
		_ = st.Close() // the connection goes anyway
	}
	w.stmts = nil
	if w.conn != nil {
		_ = w.conn.Close() // back to the pool, which is closed next
	}
	if w.db == nil {
		return nil
	}
	err := w.db.Close()
	w.conn, w.db = nil, nil
	return err
}

// stmtLocked returns the prepared statement for query. There are a few dozen
// query texts, all constant.
func (w *writer) stmtLocked(query string) (*sql.Stmt, error) {
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.stmts[query] = st
	}
	return st, err
}

// tx is one write transaction. Its context has no end: what has begun is
// finished, so that a caller that gives up never leaves a commit in doubt.
type tx struct {
	s     *Store
	boxes map[MailboxID]*box
	order []*box // boxes in the order they were touched
	log   lines  // for the recovery log
	seq   int64  // number in the recovery log, where it has anything to say

	generation int64 // of the store, once this is committed; 0: unchanged
	noLedger   bool  // no ledger changes by it, nor contents
	queue      bool  // what Outgoing returns changes by it
}

// write runs fn as one transaction and publishes what it changed.
func (s *Store) write(ctx context.Context, doing string, fn func(*tx) error) error {
	_, err := s.commit(ctx, doing, fn)
	return err
}

// commit is write that also says whether the transaction may be in the index
// although there was an error: a commit that failed in the middle of an I/O
// error can come back when the write-ahead log is read again.
func (s *Store) commit(ctx context.Context, doing string, fn func(*tx) error) (inDoubt bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, failure(err, doing)
	}
	w := &s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut {
		return false, errClosed
	}
	if err := s.soundLocked(ctx); err != nil {
		return false, failure(err, doing)
	}
	defer func() { s.suspectLocked(err) }()
	t := &tx{s: s, boxes: map[MailboxID]*box{}}
	defer func() {
		if !t.noLedger {
			w.changes.Add(1)
		}
	}()
	known := s.keywords.Len()
	if err = t.exec("BEGIN IMMEDIATE"); err != nil {
		err = readErrorBehindCorrupt(s.indexPath(), err)
		return false, failure(err, doing)
	}
	if err = fn(t); err == nil {
		err = t.flush()
	}
	if err == nil {
		err = t.note()
	}
	if err == nil {
		err = t.advance()
	}
	if err == nil {
		if err = s.step("commit"); err == nil {
			err = t.exec("COMMIT")
		}
		inDoubt = err != nil && !isFull(err)
	}
	if err != nil {
		// SQLite has rolled back by itself after some errors; then this one
		// fails and there is nothing left to do.
		_ = t.exec("ROLLBACK")
		s.keywords.Truncate(known)
		err = readErrorBehindCorrupt(s.indexPath(), err)
		return inDoubt, failure(err, doing)
	}
	failpoint.Hit(failpoint.Publish)
	s.generation = max(s.generation, t.generation)
	s.appendLocked(t)
	s.publish(t)
	return false, nil
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.result(query, args...)
	return err
}

func (t *tx) result(query string, args ...any) (sql.Result, error) {
	st, err := t.s.writer.stmtLocked(query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.Background(), args...)
}

// execAll runs several queries with the same arguments.
func (t *tx) execAll(queries []string, args ...any) error {
	for _, query := range queries {
		if err := t.exec(query, args...); err != nil {
			return err
		}
	}
	return nil
}

// changed runs a query and returns how many rows it has changed.
func (t *tx) changed(query string, args ...any) (int64, error) {
	res, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// get reads one row into dest; sql.ErrNoRows when there is none.
func (t *tx) get(query string, args []any, dest ...any) error {
	st, err := t.s.writer.stmtLocked(query)
	if err != nil {
		return err
	}
	return st.QueryRowContext(context.Background(), args...).Scan(dest...)
}

func (t *tx) rows(query string, args []any, scan func(*sql.Rows) error) error {
	st, err := t.s.writer.stmtLocked(query)
	if err != nil {
		return err
	}
	return each(st, context.Background(), args, scan)
}
