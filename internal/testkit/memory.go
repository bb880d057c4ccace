package testkit

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
)

// Allocated returns how many bytes the whole process allocates while f runs.
func Allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// LongHead begins a message with a part of HTML, which goes on with one of the
// LongLines, by name, for as long as a test wants.
const LongHead = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"

// LongLines are what parsers of a long message may want to hold as a whole.
var LongLines = map[string]string{
	"lines":       strings.Repeat("x", 76) + "\r\n",
	"no line end": strings.Repeat("x", 1000),
	"dashes":      "--\r\n",
	"tags":        "<p>=20",
	"entities":    "&amp",
	"white space": " ",
	"attribute":   "<a href='x",
}

// ErrDisk is the error of a FailingReader.
var ErrDisk = errors.New("disk on fire")

// FailingReader gives ErrDisk from octet N on.
type FailingReader struct {
	*bytes.Reader
	N int64
}

// ReadAt implements io.ReaderAt.
func (f FailingReader) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.N {
		n, _ := f.Reader.ReadAt(p[:max(f.N-off, 0)], off)
		return n, ErrDisk
	}
	return f.Reader.ReadAt(p, off)
}
