package submission

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

var errEndless = errors.New("the client does not come to an end")

// place is where a dots is in a line.
type place uint8

const (
	begin     place = iota // behind CR LF, or at the start
	within                 // of a line, also behind a LF alone
	behindCR               // one CR or two that have not been passed on
	behindDot              // at the begin
	dotAndCR               // at the begin
)

// dots reads a message as it follows DATA (RFC 5321 sections 4.1.1.4 and 4.5.2), up
// to CR LF . CR LF, without the dots that were put before others. A CR or LF alone is
// passed on as CR LF, and counts neither before nor behind the last dot: to take it
// for a line end there would let the text of a mail end it and go on with commands
// (SMTP smuggling). CR CR LF, which programs write that take CR LF for text, is one
// line end: as two the header would end behind its first line.
type dots struct {
	in    *bufio.Reader
	at    place
	crs   int    // that have not been passed on
	buf   []byte // what out lies in
	out   []byte // not passed on
	ended bool   // by CR LF . CR LF
	err   error  // of the connection
}

// Read returns io.EOF at the end of the message and nowhere else.
func (d *dots) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		switch {
		case d.ended:
			return 0, io.EOF
		case d.err != nil:
			return 0, d.err
		}
		d.fill()
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// fill takes what has been received, and waits for it where that is nothing.
func (d *dots) fill() {
	if _, d.err = d.in.Peek(1); d.err != nil {
		if errors.Is(d.err, io.EOF) {
			d.err = io.ErrUnexpectedEOF
		}
		return
	}
	chunk, _ := d.in.Peek(d.in.Buffered()) // it is there
	d.buf = d.buf[:0]
	n := 0
	for n < len(chunk) && !d.ended {
		text, i := chunk[n:], 0
		if d.at == within {
			if i = bytes.IndexAny(text, "\r\n"); i < 0 {
				i = len(text)
			}
			d.buf = append(d.buf, text[:i]...)
		}
		if i < len(text) {
			d.step(text[i])
			i++
		}
		n += i
	}
	d.out = d.buf
	_, _ = d.in.Discard(n) // it is there
}

func (d *dots) step(c byte) {
	if d.at == begin && c == '.' {
		d.at = behindDot
		return
	}
	if d.at == dotAndCR && c == '\n' {
		d.ended = true
		return
	}
	if c == '\r' && d.at == behindDot {
		d.at, d.crs = dotAndCR, 1
		return
	}
	if c == '\r' {
		if d.crs == 2 { // of more the first ones stand alone: they are not held back without end
			d.buf = append(d.buf, "\r\n"...)
			d.crs = 1
		}
		d.at, d.crs = behindCR, d.crs+1
		return
	}
	for ; d.crs > 0 && c != '\n'; d.crs-- {
		d.buf = append(d.buf, "\r\n"...)
	}
	d.crs = 0
	switch {
	case c != '\n':
		d.buf, d.at = append(d.buf, c), within
	case d.at == behindCR:
		d.buf, d.at = append(d.buf, "\r\n"...), begin
	default:
		d.buf, d.at = append(d.buf, "\r\n"...), within
	}
}

// drain reads to the end of the message and returns nil when it has been reached.
func (d *dots) drain() error {
	for n := 0; !d.ended && d.err == nil; n += len(d.out) {
		if n > maxDrain {
			return errEndless
		}
		d.fill()
	}
	return d.err
}
