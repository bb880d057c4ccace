package mailstore

import (
	"context"
	"database/sql"
	"sync"
)

// reader is the pool that reads the index. It never waits for the writer. A
// scan function must not read again: with all connections in scans that do, all
// of them would wait for ever.
type reader struct {
	mu    sync.Mutex // over the rest
	path  string
	db    *sql.DB
	stmts map[string]*sql.Stmt
	shut  bool
}

const readConns = 4

func (r *reader) open(path string) error {
	db, err := sql.Open("sqlite", dsn(path, readPragmas...))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(readConns)
	db.SetMaxIdleConns(readConns)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.path, r.db, r.stmts = path, db, map[string]*sql.Stmt{}
	return nil
}

// explain says what an error of the index really is.
func (r *reader) explain(err error) error {
	r.mu.Lock()
	path := r.path
	r.mu.Unlock()
	return readErrorBehindCorrupt(path, err)
}

// drop gives up the pool until it is opened again. Reads meanwhile, and those
// under way, end with an error.
func (r *reader) drop() {
	r.mu.Lock()
	db, stmts := r.db, r.stmts
	r.db, r.stmts = nil, map[string]*sql.Stmt{}
	r.mu.Unlock()
	for _, st := range stmts {
		_ = st.Close() // the pool goes anyway
	}
	if db != nil {
		_ = db.Close() // whatever it says, it is given up
	}
}

// pool returns the pool that is in use.
func (r *reader) pool() (*sql.DB, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return nil, errClosed
	}
	if r.db == nil {
		return nil, errAway
	}
	return r.db, nil
}

// begin starts a transaction that reads one commit.
func (r *reader) begin(ctx context.Context) (*sql.Tx, error) {
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	return db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
}

func (r *reader) stmt(query string) (*sql.Stmt, error) {
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	st := r.stmts[query]
	r.mu.Unlock()
	if st != nil {
		return st, nil
	}
	// Not under the mutex: preparing may wait for a connection.
	st, err = db.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db != db {
		return st, nil // replaced meanwhile; the old pool closes it
	}
	if first := r.stmts[query]; first != nil || r.shut {
		_ = st.Close() // someone else was faster
		st = first
	}
	if st == nil {
		return nil, errClosed
	}
	r.stmts[query] = st
	return st, nil
}

func (r *reader) get(ctx context.Context, query string, args []any, dest ...any) error {
	st, err := r.stmt(query)
	if err == nil {
		err = st.QueryRowContext(ctx, args...).Scan(dest...)
	}
	return r.explain(err)
}

func (r *reader) rows(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	st, err := r.stmt(query)
	if err == nil {
		err = each(st, ctx, args, scan)
	}
	return r.explain(err)
}

func (r *reader) close() error {
	r.mu.Lock()
	r.shut = true
	for _, st := range r.stmts {
		_ = st.Close() // the pool goes anyway
	}
	r.mu.Unlock()
	if r.db == nil {
		return nil
	}
	return r.db.Close()
}
