package localimap

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/mailtext"
)

const (
	// groupsAhead is how many groups of message files are being read, the one that is
	// being told included.
	groupsAhead = 3
	// groupMost bounds the messages of a group and groupOctets what is read of them
	// into memory; a file of largeFile and more is opened instead, and ends its group.
	groupMost   = 32
	groupOctets = 256 << 10
	largeFile   = 64 << 10
)

// group is some messages that are prepared together: to switch between two
// goroutines takes longer than to read a short file.
type group struct {
	first int // of the contents
	ready []prepared
	room  *[]byte
}

var rooms = sync.Pool{New: func() any { b := make([]byte, groupOctets); return &b }}

func (g group) close() {
	for _, p := range g.ready {
		p.close()
	}
	rooms.Put(g.room)
}

// files tells messages that need their files, which are read ahead. tell closes what
// it gets.
func (f *fetching) files(contents []mailstore.Content, tell func(k int, p prepared) error) error {
	ends := groupEnds(contents)
	load := func(n int) group {
		g := group{room: rooms.Get().(*[]byte)}
		if n > 0 {
			g.first = ends[n-1]
		}
		room := *g.room
		for i := g.first; i < ends[n]; i++ {
			c := &contents[i]
			if c.Size >= largeFile {
				g.ready = append(g.ready, f.prepare(c, nil))
				continue
			}
			g.ready = append(g.ready, f.prepare(c, room[:c.Size+1]))
			room = room[c.Size+1:]
		}
		return g
	}
	use := func(_ int, g group) (err error) {
		for len(g.ready) > 0 && err == nil {
			p := g.ready[0]
			g.ready, g.first = g.ready[1:], g.first+1
			err = tell(g.first-1, p)
		}
		g.close()
		return err
	}
	return ahead(len(ends), groupsAhead, load, use, group.close)
}

// groupEnds returns where the groups end. Files are read with an octet more than they
// should have.
func groupEnds(contents []mailstore.Content) (ends []int) {
	n, octets := 0, int64(0)
	for i, c := range contents {
		large := c.Size >= largeFile
		if n == groupMost || !large && octets+c.Size+1 > groupOctets {
			ends, n, octets = append(ends, i), 0, 0
		}
		if n++; !large {
			octets += c.Size + 1
		}
		if large || i == len(contents)-1 {
			ends, n, octets = append(ends, i+1), 0, 0
		}
	}
	return ends
}

// prepared is a message ready to be told.
type prepared struct {
	content *mailstore.Content
	file    *os.File  // open where a section needs it
	parts   []section // in the order of the items
	preview string
	err     error // why the message cannot be told
}

func (p prepared) close() {
	if p.file != nil {
		_ = p.file.Close() // only read
	}
}

// prepare opens the message file where it is needed, or reads it into room, once for
// all items, and measures the sections. Several messages are prepared at the same time.
func (f *fetching) prepare(c *mailstore.Content, room []byte) prepared {
	p := prepared{content: c}
	if c.Gone {
		p.err = no(codeExpungeIssued, "Some messages have been expunged by another client")
		return p
	}
	var file io.ReaderAt
	var err error
	if f.items.want&mailstore.WantFile != 0 || c.Cut || f.items.want&mailstore.WantHeader != 0 && !c.Summary.Header.Complete() {
		if file, err = f.open(&p, room); err != nil {
			f.log.Error().Err(err).Str("user", f.user).Stringer("msg", c.Hash).Msg("message file could not be read")
			if p.err = errDamaged; fault.Is(err, fault.Temporary) { // it may only not be opened
				p.err = err
			}
			return p
		}
	}
	if c.Cut { // a copy, which is gone with p
		whole := *c
		whole.Summary = f.store.Summarize(file, c.Size)
		p.content = &whole
	}
	if f.items.atts&attPreview != 0 {
		p.preview, err = mailtext.Preview(p.content.Summary, file)
	}
	if err == nil {
		p.parts, err = f.measure(file, p.content)
	}
	p.err = err
	return p
}

var errDamaged = no(imap.ResponseCodeServerBug, "Some messages are damaged, see the log of the server")

// open reads the file of a message into room, or opens it where that is nil, and makes
// sure that it is as long as the literals to be announced.
func (f *fetching) open(p *prepared, room []byte) (io.ReaderAt, error) {
	c := p.content
	var size int64
	if room != nil {
		n, err := f.store.ReadContent(c.Hash, room[:c.Size+1])
		if size = int64(n); err != nil {
			return nil, err
		}
	} else {
		file, err := f.store.OpenContent(c.Hash)
		if err != nil {
			return nil, err
		}
		p.file = file
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		size = info.Size()
	}
	switch {
	case size != c.Size:
		return nil, fmt.Errorf("message file %s has %d bytes instead of %d", c.Hash, size, c.Size)
	case room != nil:
		return readFile(room[:size]), nil
	}
	return fileOfCommand{f.conn, p.file}, nil
}

// readFile is a message file that was read.
type readFile []byte

// ReadAt reads (io.ReaderAt).
func (f readFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f).ReadAt(p, off)
}

// fileOfCommand is a message file that can be read as long as the command goes on:
// all that takes long reads it in pieces.
type fileOfCommand struct {
	conn *conn
	*os.File
}

// ReadAt reads, unless the command has ended.
func (f fileOfCommand) ReadAt(p []byte, off int64) (int, error) {
	if err := f.conn.alive(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}
