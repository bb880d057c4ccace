//go:build unix

package textindex

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	_ "modernc.org/sqlite"

	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/testkit"
)

const (
	ftsBatch  = 64                 // messages in a transaction
	shortText = 1000               // bytes of a body; mail with shorter ones has no signature
	border    = "\x01"             // between two texts of a message; nothing is found across
	pageKiB   = 64 << 10           // what SQLite may cache
	lastRune  = "\U0010FFFF"       // sorts behind all others
	hanText   = "本公司已经收到贵方寄来的文件谢谢" // in every hundredth message
)

// headerFold is white space that counts as one space in a header field.
var headerFold = regexp.MustCompile(`[ \t\r\n]+`)

// foldText is what mailtext makes of such text; the needles show whether it is so.
func foldText(s string) string {
	return strings.ReplaceAll(strings.ToLower(norm.NFKD.String(strings.ReplaceAll(s, "ß", "ss"))), "\r\n", " ")
}

// proseMail returns message n of 1 to last, and its folded text.
func proseMail(n, last, size int) (raw []byte, folded string) {
	fields, body := testkit.Prose(n, size/4+n*7919%(size*3/2))
	if size < shortText { // most would be the signature, letters by chance
		fields = fields[:strings.Index(fields, "DKIM-")] + fields[strings.Index(fields, "From: "):]
	}
	if n%100 == 42 {
		body += hanText
	}
	if n%1000 == 42 {
		body += "合同"
	}
	if n == last/2 {
		body += "xylophonequartet\r\nplays "
	}
	if n%499 == 7 {
		body += "§7"
	}
	fields += "Content-Type: text/plain; charset=utf-8\r\n"
	var b strings.Builder
	for f := range strings.SplitSeq(strings.ReplaceAll(fields, "\r\n\t", " "), "\r\n") {
		b.WriteString(headerFold.ReplaceAllString(f, " ") + border)
	}
	return []byte(fields + "\r\n" + body), foldText(b.String() + body)
}

// ftsMail is the store of the messages 1 to count; it holds the newest alone.
type ftsMail struct {
	hashes []Hash // by id, from 1
	batch  []stored
	gone   int64
}

func (m *ftsMail) After(_ context.Context, id int64, use func(int64, Hash)) error {
	for id++; id < int64(len(m.hashes)); id++ {
		if id != m.gone {
			use(id, m.hashes[id])
		}
	}
	return nil
}

func (m *ftsMail) Read(_ context.Context, ids []int64, use func(int64, Hash, *message.Summary, io.ReaderAt)) error {
	for _, id := range ids {
		c := m.batch[id-m.batch[0].id]
		use(c.id, c.hash, c.sum, bytes.NewReader(c.raw))
	}
	return nil
}

func (m *ftsMail) Watch() (<-chan struct{}, func()) { return nil, func() {} }

// fts is an FTS5 table with a detail, none or full, in a file of its own.
type fts struct {
	*sql.DB
	detail string
	path   string
}

func newFTS(b *testing.B, dir, detail string) *fts {
	path := filepath.Join(dir, detail+".db")
	db, err := sql.Open("sqlite", "file:"+path+fmt.Sprintf("?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=cache_size(-%d)", pageKiB))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	f := &fts{db, detail, path}
	f.do(b, `CREATE VIRTUAL TABLE mail USING fts5(text, content='', contentless_delete=1, detail=`+detail+`, tokenize="trigram case_sensitive 1")`)
	f.do(b, `CREATE VIRTUAL TABLE trigram USING fts5vocab(mail, row)`)
	return f
}

func (f *fts) do(b *testing.B, query string, args ...any) {
	b.Helper()
	if _, err := f.Exec(query, args...); err != nil {
		b.Fatal(err)
	}
}

func (f *fts) add(b *testing.B, first int, texts []string) {
	tx, err := f.Begin()
	if err != nil {
		b.Fatal(err)
	}
	for i, text := range texts {
		if _, err := tx.Exec(`INSERT INTO mail(rowid, text) VALUES (?, ?)`, first+i, text+border+border); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

// find returns the ids of the messages that may have the needle: those that have
// it, unless detail is none and the needle has more than three characters.
func (f *fts) find(b *testing.B, needle string) (ids []int64) {
	query := `"` + needle + `"`
	switch n := utf8.RuneCountInString(needle); {
	case n < 3:
		if query = f.beginning(b, needle); query == "" {
			return nil
		}
	case f.detail == "none":
		var all []string
		for r := []rune(needle); len(r) >= 3; r = r[1:] {
			all = append(all, `"`+string(r[:3])+`"`)
		}
		query = strings.Join(all, " AND ")
	}
	rows, err := f.Query(`SELECT rowid FROM mail WHERE mail MATCH ?`, query)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return ids
}

// beginning returns the query for all trigrams that begin with a needle shorter
// than one; as every text ends with two borders, each place of it begins one.
func (f *fts) beginning(b *testing.B, needle string) (query string) {
	err := f.QueryRow(`SELECT coalesce(group_concat('"' || replace(term, '"', '""') || '"', ' OR '), '')
		FROM trigram WHERE term >= ? AND term < ?`, needle, needle+lastRune).Scan(&query)
	if err != nil {
		b.Fatal(err)
	}
	return query
}

// exact reports whether what find returns needs no reading.
func (f *fts) exact(needle string) bool {
	return f.detail == "full" || utf8.RuneCountInString(needle) <= 3
}
