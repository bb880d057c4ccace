package textindex

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
)

// A segment is a file of the text index: a line that says what it is and how
// many contents it is about, for each its hash and whether all of its text is
// here, then the terms in order, each with its postings, then a checksum.
//
//	term      bytes from mailtext.TermByte up
//	posting   bytes below: how far from the content before, times two, plus one
//	          where the body has the term; six bits a byte, lowest first, the
//	          last byte has bit 0x40 and five
//
// Terms are looked for by running over the whole file, which needs no table of
// offsets. A segment is never changed, and not synced: the checksum tells one
// that a power cut has torn, and it is made again.
const (
	segmentLine   = "popbridge text index %d.%d: %d\n"
	segmentFormat = 1
	segmentSuffix = ".terms"
	lastPosting   = 0x40
	hashSize      = len(Hash{})
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errSegment = fault.New(fault.Corrupt, "a file of the text index is damaged", "it is made again by itself")

// indexed is a content in a segment.
type indexed struct {
	id    int64 // 0 where it is gone
	hash  Hash
	whole bool // all of its text is there; otherwise it may match anything
}

// postings are the contents with a term, by their number in the segment.
type postings struct {
	bytes []byte
	next  int // the number after the last one
}

func (p *postings) add(n int, body bool) {
	v := (n - p.next) << 1
	if body {
		v |= 1
	}
	for ; v >= 32; v >>= 6 {
		p.bytes = append(p.bytes, byte(v&63))
	}
	p.bytes, p.next = append(p.bytes, byte(lastPosting|v)), n+1
}

// eachPosting calls do for each posting in b.
func eachPosting(b []byte, do func(n int, body bool)) {
	n, v, shift := 0, 0, 0
	for _, c := range b {
		if c < lastPosting {
			v |= int(c) << shift
			shift = min(shift+6, 32)
			continue
		}
		v |= int(c&31) << shift
		n += v >> 1
		do(n, v&1 != 0)
		n, v, shift = n+1, 0, 0
	}
}

// builder gathers what becomes a segment.
type builder struct {
	docs  []indexed
	terms map[string]*building
}

type building struct {
	postings
	doc  int // that waits to be added, because its body may follow
	body bool
}

func (b *building) settle() { b.add(b.doc, b.body) }

// add takes in the text of the last of docs. What cannot be read, or has more terms
// than ordinary text, stays one that may match anything.
func (b *builder) add(sum *message.Summary, r io.ReaderAt) {
	n, room := len(b.docs)-1, maxTerms
	err := mailtext.Terms(sum, r, func(term []byte, body bool) bool {
		t := b.terms[string(term)]
		switch {
		case t == nil:
			t = &building{doc: n}
			b.terms[string(term)] = t
		case t.doc != n:
			t.settle()
			t.doc, t.body = n, false
		default:
			t.body = t.body || body
			return true
		}
		t.body = body
		room -= len(term)
		return room > 0
	})
	b.docs[n].whole = err == nil && room > 0
}

// write makes the segment in a new file.
func (b *builder) write(dir string) (*segment, error) {
	return writeSegment(dir, b.docs, func(put func(term, postings []byte)) error {
		for _, term := range slices.Sorted(maps.Keys(b.terms)) {
			t := b.terms[term]
			t.settle()
			put([]byte(term), t.bytes)
		}
		return nil
	})
}

// segment is one that is open.
type segment struct {
	file  *os.File
	docs  []indexed
	start int64  // of the terms
	end   int64  // of the terms
	head  uint32 // checksum of what is before the terms
	size  int64
}

// writeSegment makes a segment about docs in a new file. terms puts the terms in
// their order.
func writeSegment(dir string, docs []indexed, terms func(put func(term, postings []byte)) error) (*segment, error) {
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return nil, err
	}
	sum := crc32.New(castagnoli)
	w := bufio.NewWriterSize(f, 1<<16)
	both := io.MultiWriter(w, sum) // Flush returns the first error of a write
	_, _ = fmt.Fprintf(both, segmentLine, segmentFormat, mailtext.TermsVersion, len(docs))
	for i := range docs {
		row := append(docs[i].hash[:], 0)
		if docs[i].whole {
			row[hashSize] = 1
		}
		_, _ = both.Write(row)
	}
	err = terms(func(term, postings []byte) {
		_, _ = both.Write(term)
		_, _ = both.Write(postings)
	})
	_, _ = w.Write(sum.Sum(nil))
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return nil, errors.Join(err, atomicfile.Remove(f.Name()))
	}
	path := f.Name() + segmentSuffix
	if err := atomicfile.Rename(f.Name(), path); err != nil {
		return nil, errors.Join(err, atomicfile.Remove(f.Name()))
	}
	g, err := openSegment(path)
	if err == nil {
		copy(g.docs, docs)
	}
	return g, err
}

// openSegment opens a segment of this version that is sound. The ids of its
// contents are not known yet.
func openSegment(path string) (*segment, error) {
	f, err := atomicfile.Open(path)
	if err != nil {
		return nil, err
	}
	g := &segment{file: f}
	if err = g.readHead(); err == nil {
		err = g.each(func([]byte) {})
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, err
	}
	return g, nil
}

func (g *segment) readHead() error {
	info, err := g.file.Stat()
	if err != nil {
		return err
	}
	r := bufio.NewReader(io.NewSectionReader(g.file, 0, info.Size()))
	line, _ := r.ReadString('\n')
	var format, version, n int
	if _, err := fmt.Sscanf(line, segmentLine, &format, &version, &n); err != nil || format != segmentFormat || version != mailtext.TermsVersion {
		return errSegment
	}
	g.size, g.end, g.start = info.Size(), info.Size()-crc32.Size, int64(len(line))+int64(n)*int64(hashSize+1)
	if n < 0 || g.start > g.end {
		return errSegment
	}
	g.head = crc32.Checksum([]byte(line), castagnoli)
	g.docs = make([]indexed, n)
	var row [hashSize + 1]byte
	for i := range g.docs {
		if _, err := io.ReadFull(r, row[:]); err != nil {
			return err
		}
		g.head = crc32.Update(g.head, castagnoli, row[:])
		copy(g.docs[i].hash[:], row[:])
		g.docs[i].whole = row[hashSize] == 1
	}
	return nil
}

var chunks = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// each calls use with the terms and their postings, many at a time, and tells at
// the end whether they were what was written.
func (g *segment) each(use func(entries []byte)) error {
	chunk := chunks.Get().(*[]byte)
	defer chunks.Put(chunk)
	buf, sum, kept := *chunk, g.head, 0
	for at := g.start; at < g.end; {
		if kept == len(buf) { // postings longer than a chunk
			buf = append(buf, make([]byte, len(buf))...)
		}
		n := int(min(int64(len(buf)-kept), g.end-at))
		if _, err := g.file.ReadAt(buf[kept:kept+n], at); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, buf[kept:kept+n])
		at += int64(n)
		cut := kept + n
		if at < g.end { // the last term may go on
			for cut > 1 && (buf[cut-1] < mailtext.TermByte || buf[cut-2] >= mailtext.TermByte) {
				cut--
			}
			cut--
		}
		use(buf[:cut])
		kept = copy(buf, buf[cut:kept+n])
	}
	var want [crc32.Size]byte
	if _, err := g.file.ReadAt(want[:], g.end); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(want[:]) != sum {
		return errSegment
	}
	return nil
}

// find returns which of the contents hold all pieces. Where these are exact, they
// match, otherwise they may.
func (g *segment) find(pieces []mailtext.Piece, exact, body bool) ([]Match, error) {
	hits := make([][]bool, len(pieces))
	for k := range hits {
		hits[k] = make([]bool, len(g.docs))
	}
	err := g.each(func(entries []byte) {
		for k := range pieces {
			findPiece(entries, &pieces[k], body, hits[k])
		}
	})
	found := make([]Match, len(g.docs))
	for i := range found {
		switch lacks := slices.ContainsFunc(hits, func(hit []bool) bool { return !hit[i] }); {
		case !g.docs[i].whole:
		case lacks:
			found[i] = NoMatch
		case exact:
			found[i] = Matches
		}
	}
	return found, err
}

func findPiece(entries []byte, p *mailtext.Piece, body bool, hit []bool) {
	for at := 0; ; {
		i := bytes.Index(entries[at:], p.Text)
		if i < 0 {
			return
		}
		start, end := at+i, at+i+len(p.Text)
		for start > 0 && entries[start-1] >= mailtext.TermByte {
			start--
		}
		for end < len(entries) && entries[end] >= mailtext.TermByte {
			end++
		}
		at = end
		for at < len(entries) && entries[at] < mailtext.TermByte {
			at++
		}
		term := entries[start:end]
		if p.Start && !bytes.HasPrefix(term, p.Text) || p.End && !bytes.HasSuffix(term, p.Text) ||
			p.Start && p.End && len(term) > len(p.Text) {
			continue
		}
		eachPosting(entries[end:at], func(n int, inBody bool) {
			if n < len(hit) && (inBody || !body) {
				hit[n] = true
			}
		})
	}
}
