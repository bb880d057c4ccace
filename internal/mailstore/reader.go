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
	db    *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
	shut  bool
}

const readConns = 4

func (r *reader) open(path string) (err error) {
	r.stmts = map[string]*sql.Stmt{}
	if r.db, err = sql.Open("sqlite", dsn(path, readPragmas...)); err != nil {
		return err
	}
	r.db.SetMaxOpenConns(readConns)
	r.db.SetMaxIdleConns(readConns)
	return nil
}

func (r *reader) stmt(query string) (*sql.Stmt, error) {
	r.mu.Lock()
	st, shut := r.stmts[query], r.shut
	r.mu.Unlock()
	if shut {
		return nil, errClosed
	}
	if st != nil {
		return st, nil
	}
	// Not under the mutex: preparing may wait for a connection.
	st, err := r.db.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first := r.stmts[query]; first != nil || r.shut {
		_ = st.Close() // somebody else was faster
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
	if err != nil {
		return err
	}
	return st.QueryRowContext(ctx, args...).Scan(dest...)
}

func (r *reader) rows(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	st, err := r.stmt(query)
	if err != nil {
		return err
	}
	return each(st, ctx, args, scan)
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

func each(st *sql.Stmt, ctx context.Context, args []any, scan func(*sql.Rows) error) error {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	for rows.Next() && err == nil {
		err = scan(rows)
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = rows.Err()
	}
	return err
}
