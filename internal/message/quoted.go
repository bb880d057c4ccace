package message

import "io"

// quotedReader decodes quoted-printable (RFC 2045 section 6.7). An equals sign
// that is neither of a byte nor of a soft line break stays. White space at the
// end of a line is dropped.
type quotedReader struct {
	r     io.Reader
	in    [4096]byte
	state quotedState
	held  []byte // bytes as written whose meaning depends on what follows
	ready []byte // decoded
	out   []byte // what ready is a part of, to be used again
	err   error
}

type quotedState uint8

const (
	quotedText   quotedState = iota // nothing held
	quotedSpace                     // white space held: dropped before a line end
	quotedCR                        // that and a CR
	quotedEqual                     // "="
	quotedDigit                     // "=" and a hexadecimal digit
	quotedSoft                      // "=" and white space: a soft line break, if the line ends
	quotedSoftCR                    // that and a CR
)

// maxHeld bounds a run of white space that is held.
const maxHeld = 4096

func (d *quotedReader) Read(p []byte) (int, error) {
	for len(d.ready) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		var n int
		n, d.err = d.r.Read(d.in[:])
		d.out = d.out[:0]
		for in := d.in[:n]; len(in) > 0; {
			if plain := plainPrefix(in); plain > 0 && d.state <= quotedSpace {
				d.release()
				d.out = append(d.out, in[:plain]...)
				in = in[plain:]
				continue
			}
			d.take(in[0])
			in = in[1:]
		}
		if d.err != nil {
			d.finish()
		}
		d.ready = d.out
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

// plainPrefix returns how many bytes at the start of b mean themselves.
func plainPrefix(b []byte) int {
	for i, c := range b {
		if c == '=' || c <= ' ' {
			return i
		}
	}
	return len(b)
}

// take decodes one byte.
func (d *quotedReader) take(c byte) {
	blank := c == ' ' || c == '\t'
	switch d.state {
	case quotedSpace:
		switch {
		case blank && len(d.held) < maxHeld:
			d.hold(c, quotedSpace)
			return
		case c == '\r':
			d.hold(c, quotedCR)
			return
		case c == '\n':
			d.drop("\n")
			return
		}
	case quotedCR:
		if c == '\n' {
			d.drop("\r\n")
			return
		}
	case quotedEqual, quotedSoft:
		switch {
		case d.state == quotedEqual && unhex(c) < 16:
			d.hold(c, quotedDigit)
			return
		case blank && len(d.held) < maxHeld:
			d.hold(c, quotedSoft)
			return
		case c == '\r':
			d.hold(c, quotedSoftCR)
			return
		case c == '\n':
			d.drop("")
			return
		}
	case quotedDigit:
		if unhex(c) < 16 {
			d.out = append(d.out, unhex(d.held[1])<<4|unhex(c))
			d.drop("")
			return
		}
	case quotedSoftCR:
		if c == '\n' {
			d.drop("")
			return
		}
	}
	d.release()
	switch {
	case blank:
		d.hold(c, quotedSpace)
	case c == '\r':
		d.hold(c, quotedCR)
	case c == '=':
		d.hold(c, quotedEqual)
	default:
		d.out = append(d.out, c)
	}
}

func (d *quotedReader) hold(c byte, next quotedState) {
	d.held, d.state = append(d.held, c), next
}

// drop writes s in place of what is held.
func (d *quotedReader) drop(s string) {
	d.out = append(d.out, s...)
	d.held, d.state = d.held[:0], quotedText
}

// release writes what is held as it is.
func (d *quotedReader) release() {
	d.out = append(d.out, d.held...)
	d.held, d.state = d.held[:0], quotedText
}

// finish writes what is held at the end of the body, which ends a line too.
func (d *quotedReader) finish() {
	switch d.state {
	case quotedSpace, quotedEqual, quotedSoft, quotedSoftCR:
		d.drop("")
	case quotedCR, quotedDigit:
		d.release()
	}
}
