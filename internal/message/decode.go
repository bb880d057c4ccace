package message

import (
	"encoding/base64"
	"io"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// Decode returns the bytes of a body in the given transfer encoding. It takes
// what mail has: junk and missing padding in base64, stray equals signs in
// quoted-printable. An unknown encoding is a fault of kind Protocol.
func Decode(r io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return r, nil
	case "base64":
		return &base64Reader{r: r}, nil
	case "quoted-printable":
		return &quotedReader{r: r}, nil
	}
	return nil, fault.New(fault.Protocol, "unknown transfer encoding "+fault.Quote(encoding), "")
}

// Text returns the body of a part without its transfer encoding, in UTF-8. In an
// unknown encoding or charset it is what is there. r is the message that the part
// is of.
func (p *Part) Text(r io.ReaderAt) io.Reader {
	var body io.Reader = io.NewSectionReader(r, p.Body, p.End-p.Body)
	if decoded, err := Decode(body, p.Encoding); err == nil {
		body = decoded
	}
	if enc, _ := lookupCharset(p.Charset); enc != nil {
		body = enc.NewDecoder().Reader(body)
	}
	return body
}

// base64Reader decodes base64. Characters outside the alphabet are skipped; a
// padding character ends a group of four wherever it stands, so that encodings
// put one after the other are read to the end.
type base64Reader struct {
	r     io.Reader
	in    [4096]byte
	group [4096 + 4]byte // characters of the alphabet that wait to be decoded
	n     int
	out   [3 * (4096 + 4) / 4]byte
	ready []byte
	err   error
}

func (d *base64Reader) Read(p []byte) (int, error) {
	for len(d.ready) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.fill()
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

func (d *base64Reader) fill() {
	d.ready = d.out[:0]
	n, err := d.r.Read(d.in[:])
	for _, c := range d.in[:n] {
		switch {
		case c == '=':
			d.flush(d.n)
		case isBase64(c):
			d.group[d.n] = c
			d.n++
		}
	}
	d.flush(d.n / 4 * 4)
	if err != nil {
		d.flush(d.n)
		d.err = err
	}
}

// flush decodes the first n waiting characters.
func (d *base64Reader) flush(n int) {
	use := n
	if use%4 == 1 {
		use-- // six bits are no byte
	}
	size := len(d.ready)
	end := size + base64.RawStdEncoding.DecodedLen(use)
	// The alphabet was checked, so there can be no error.
	got, _ := base64.RawStdEncoding.Decode(d.out[size:end], d.group[:use])
	d.ready = d.out[:size+got]
	d.n = copy(d.group[:], d.group[n:d.n])
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}
