package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
)

// invariants are what must hold inside the index: each query gives one line of
// text for each violation.
var invariants = []struct{ code, query string }{
	{"index-reference", `SELECT printf('a row of %s refers to a row of %s that does not exist', "table", parent) FROM pragma_foreign_key_check`},
	{"wrong-count", `SELECT printf('mailbox %s: its counts are not those of its messages', m.name)
		FROM mailbox m LEFT JOIN message x ON x.mailbox_id = m.id GROUP BY m.id
		HAVING m.messages <> count(uid) OR m.unseen <> coalesce(sum(system & 1 = 0), 0)
		OR m.deleted <> coalesce(sum(system & 8 <> 0), 0) OR m.size <> coalesce(sum(x.size), 0)
		OR m.recent <> coalesce(sum(uid >= m.recent_from), 0)`},
	{"wrong-next", `SELECT printf('mailbox %s: UIDNEXT or the modification sequence is behind its messages', m.name)
		FROM mailbox m JOIN message x ON x.mailbox_id = m.id GROUP BY m.id
		HAVING max(uid) >= m.uidnext OR max(x.modseq) > m.modseq OR m.recent_from > m.uidnext`},
	{"wrong-history", `SELECT printf('mailbox %s: a message that is there is among those that were removed, or a removal is yet to come', m.name)
		FROM mailbox m WHERE ` + wrongHistory},
	{"wrong-uidvalidity", `SELECT printf('mailbox %s: UIDVALIDITY is beyond the last one given', name)
		FROM mailbox WHERE uidvalidity > (SELECT coalesce(max(value), 0) FROM meta WHERE key = 'uidvalidity')`},
	{"wrong-size", `SELECT printf('mailbox %s, uid %d: its size is not that of its content', m.name, uid)
		FROM message x JOIN content c ON c.id = content_id JOIN mailbox m ON m.id = mailbox_id WHERE x.size <> c.size`},
	{"wrong-orphan", `SELECT printf('message %s is in no mailbox and not marked so, or the reverse', lower(hex(hash)))
		FROM content WHERE (orphaned_at IS NULL) <> EXISTS (SELECT 1 FROM message WHERE content_id = content.id)`},
	{"missing-keywords", `SELECT printf('mailbox %s, uid %d: its keywords are not known', m.name, uid)
		FROM message x JOIN mailbox m ON m.id = mailbox_id WHERE keywords <> 0 AND keywords NOT IN (SELECT id FROM keyword_set)`},
	{"missing-keywords", `SELECT printf('expunged message %d: its keywords are not known', id)
		FROM expunged WHERE keywords <> 0 AND keywords NOT IN (SELECT id FROM keyword_set)`},
	{"outgoing-reference", `SELECT printf('message %d on its way out: it is not in the Outbox, or has no recipients', id) FROM outgoing WHERE ` + wrongOutgoing},
	{"outgoing-reference", `SELECT printf('the Outbox, uid %d: where the message goes is not known', uid) FROM message WHERE ` + unknownOutgoing},
	{"missing-mailbox", `SELECT 'INBOX does not exist' WHERE NOT EXISTS (SELECT 1 FROM mailbox WHERE name = 'INBOX')`},
}

const (
	fastIntegrity = `SELECT quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'`
	fullIntegrity = `SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`
)

// Check compares the index with itself and with the message files, each of which it
// reads. It changes nothing and may run while the store is in use, by this program
// or another. progress, which may be nil, is called for each content. The error
// tells that it could not be finished.
func (s *Store) Check(ctx context.Context, progress func(done, total int)) ([]Problem, error) {
	c := &check{s: s, progress: progress}
	err := c.index(ctx, fullIntegrity)
	for i := 0; i < 256 && err == nil; i++ {
		err = c.folder(ctx, byte(i), c.file, c.surplus)
		if err != nil && c.damaged(err) {
			err = nil
		}
	}
	if err == nil {
		c.problems = append(c.problems, c.s.foreignOwner(c.foreign)...)
	}
	return c.problems, failure(err, "check the mail store")
}

// check is what Check and Repair have found.
type check struct {
	s        *Store
	progress func(done, total int)
	problems []Problem
	done     int
	total    int
	foreign  foreign
	repairs  bool // where a folder is not there, its drive is not, and not the mail
}

func (c *check) add(code, format string, args ...any) {
	c.problems = append(c.problems, Problem{code, fmt.Sprintf(format, args...)})
}

// index checks what SQL can see, as of one commit.
func (c *check) index(ctx context.Context, integrity string) error {
	t, err := c.s.reader.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }() // it only read
	queries := append(slices.Clone(invariants), struct{ code, query string }{"index-damaged", integrity})
	for _, q := range queries {
		rows, err := t.QueryContext(ctx, q.query)
		if err == nil {
			err = c.lines(rows, q.code)
		}
		if err != nil && !c.damaged(err) {
			return err
		}
	}
	err = t.QueryRowContext(ctx, `SELECT count(*) FROM content`).Scan(&c.total)
	if err != nil && !c.damaged(err) {
		return err
	}
	return nil
}

func (c *check) lines(rows *sql.Rows, code string) error {
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return errors.Join(err, rows.Close())
		}
		c.add(code, "%s", text)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// damaged notes an index that SQLite cannot read, so that the rest is looked at
// all the same.
func (c *check) damaged(err error) bool {
	if !fault.Is(failure(err, ""), fault.Corrupt) {
		return false
	}
	p := Problem{"index-damaged", err.Error()}
	if !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
	return true
}

// folder compares one of the 256 folders with the contents that belong into it:
// file is called for each of them, and then surplus with the files that are not
// among them. Reading is done folder by folder, because one long transaction would
// keep the log of the index from being folded back.
func (c *check) folder(ctx context.Context, first byte, file func(context.Context, knownContent) error,
	surplus func(context.Context, map[Hash]bool) error) error {
	// The files first: one that is placed meanwhile is then no surplus.
	found, err := c.s.files.List(first)
	if errors.Is(err, fs.ErrPermission) {
		c.unreadableFolder(first, err)
		return nil
	}
	if err != nil && (c.repairs || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	expected, err := c.s.reader.contentsOf(ctx, first)
	if err != nil {
		return err
	}
	for _, e := range expected {
		if err := ctx.Err(); err != nil {
			return err
		}
		delete(found, e.Hash)
		if err := file(ctx, e); err != nil {
			return err
		}
		if c.done++; c.progress != nil {
			c.progress(c.done, max(c.total, c.done))
		}
	}
	return surplus(ctx, found)
}

// unreadableFolder reports one of the 256 folders that may not be opened: what is
// in it is not known, and not missing.
func (c *check) unreadableFolder(prefix byte, err error) {
	if dir := filepath.Join(c.s.dir, contents.Folder(prefix)); !c.foreign.see(dir) {
		c.add("unreadable-file", "the folder %s cannot be read: %v", dir, err)
	}
}

// errForeign is that of a file of another user that this one may not read. There is
// one problem for all of them.
var errForeign = errors.New("a file of another user")

// read returns what is known about the file of a content, and its hash if it is a
// file.
func (c *check) read(ctx context.Context, h Hash) (info fs.FileInfo, got Hash, err error) {
	path := c.s.files.Path(h)
	if info, err = os.Lstat(path); err != nil {
		return nil, got, err
	}
	foreign := c.foreign.see(path)
	if info.Mode().IsRegular() {
		got, err = contents.HashFile(ctx, path)
	}
	if foreign && errors.Is(err, fs.ErrPermission) {
		err = errForeign
	}
	return info, got, err
}

// file checks the file of one content.
func (c *check) file(ctx context.Context, e knownContent) error {
	info, h, err := c.read(ctx, e.Hash)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errForeign):
	case errors.Is(err, fs.ErrNotExist):
		known, err := c.s.knows(ctx, e.Hash)
		if known { // not purged meanwhile
			c.add("missing-file", "the file of message %s is missing", e.Hash)
		}
		return err
	case err != nil:
		c.add("unreadable-file", "the file of message %s cannot be read: %v", e.Hash, err)
	case !info.Mode().IsRegular():
		c.add("unreadable-file", "the file of message %s is no file", e.Hash)
	case info.Size() != e.Size:
		c.add("truncated-file", "the file of message %s has %d bytes instead of %d", e.Hash, info.Size(), e.Size)
	case h != e.Hash:
		c.add("changed-file", "the file of message %s has changed", e.Hash)
	}
	return nil
}

// surplus reports files without a row that no batch under way has placed, here
// or in another program.
func (c *check) surplus(_ context.Context, found map[Hash]bool) error {
	if err := c.s.files.Strays(found); err != nil {
		return err
	}
	for h := range found {
		if _, err := os.Lstat(c.s.files.Path(h)); err == nil {
			c.add("orphan-file", "the file of message %s is in no index", h)
		}
	}
	return nil
}
