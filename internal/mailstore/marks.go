package mailstore

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/popbridge/popbridge/internal/message"
)

// marks are by what a message is recognised when it comes a second time with other bytes.
type marks struct {
	head Hash // of From, Date, To, Cc and Subject, as they read; zeros where From or Date is missing
	body Hash // of what follows the header, with any line ends, but for blank lines at the end
}

// spooledMarks reads the marks of a message that is not synced yet.
func spooledMarks(sp *Spooled) (marks, error) { return readMarks(sp, sp.summary, sp.Size()) }

// readMarks reads the marks of a message.
func readMarks(r io.ReaderAt, sum *message.Summary, size int64) (m marks, err error) {
	h, err := headerOf(r, sum)
	if err != nil {
		return m, err
	}
	m.head = headMark(h)
	w := &bodyHash{hash: sha256.New()}
	if _, err = io.Copy(w, io.NewSectionReader(r, sum.Header.Size, size-sum.Header.Size)); err != nil && !errors.Is(err, io.EOF) {
		return m, err
	}
	w.hash.Sum(m.body[:0])
	return m, nil
}

// headerOf returns the header of a message, from the message where the summary lacks it.
func headerOf(r io.ReaderAt, sum *message.Summary) (*message.Header, error) {
	if sum.Header.Complete() {
		return &sum.Header, nil
	}
	return message.ReadHeader(io.NewSectionReader(r, 0, sum.Header.Size))
}

func headMark(h *message.Header) Hash {
	date, of := words(h, "Date"), undated(h)
	if date == "" || of[0] == "" {
		return Hash{}
	}
	return sha256.Sum256([]byte(date + "\n" + strings.Join(of, "\n")))
}

// undated are From, To, Cc and Subject as they read.
func undated(h *message.Header) []string {
	return []string{words(h, "From"), words(h, "To"), words(h, "Cc"), words(h, "Subject")}
}

// words is a field without what folds it.
func words(h *message.Header, name string) string {
	return strings.Join(strings.Fields(h.Text(name)), " ")
}

// bodyHash hashes without carriage returns and without the line feeds at the end.
type bodyHash struct {
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	ends int // line feeds that are hashed when something follows
	buf  []byte
}

func (w *bodyHash) Write(p []byte) (int, error) {
	w.buf = w.buf[:0]
	for _, c := range p {
		switch c {
		case '\r':
		case '\n':
			w.ends++
		default:
			for ; w.ends > 0; w.ends-- {
				w.buf = append(w.buf, '\n')
			}
			w.buf = append(w.buf, c)
		}
	}
	_, err := w.hash.Write(w.buf)
	return len(p), err
}

func sameID(h *message.Header, id string) bool {
	ids := h.MessageIDs("Message-ID")
	return len(ids) == 1 && "<"+ids[0]+">" == id
}

// lazyFile is the file of a content, opened when it is read.
type lazyFile struct {
	s    *Store
	hash Hash
	file *os.File
}

func (f *lazyFile) ReadAt(p []byte, off int64) (n int, err error) {
	if f.file == nil {
		if f.file, err = f.s.OpenContent(f.hash); err != nil {
			return 0, err
		}
	}
	return f.file.ReadAt(p, off)
}

func (f *lazyFile) close() {
	if f.file != nil {
		_ = f.file.Close() // it was only read
	}
}
