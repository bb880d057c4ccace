package contents

import (
	"errors"
	"io"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// readFile reads a file into buf, of which it fills no more.
func readFile(path string, buf []byte) (n int, err error) {
	f, err := atomicfile.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	if n, err = io.ReadFull(f, buf); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
