package localimap

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// framing divides what a client sends into lines and literals (RFC 9051 section
// 4.3), which is all it knows of IMAP. It is there for one reason: where the
// library refuses a command whose non-synchronizing literal is already on its
// way (RFC 7888), it reads that literal as commands. A client that appends a
// message would have the text of the message executed.
//
// So every literal is shown to the library as a synchronizing one, the client's
// octets being held back until the library asks for them: {5+} becomes {5}, and
// the "+" that answers it is swallowed. Where the library answers anything
// else, the literal and the rest of the command are dropped.
//
// Lines are handed on whole; the end of a command is a line without literal.
type framing struct {
	in      []byte // received, not looked at
	out     []byte // to be read by the library
	command int    // length of the command so far, without literals
	sum     int64  // octets of its literals so far
	anon    bool   // nobody has logged in
	literal int64  // octets to come that the library has asked for
	skip    int64  // octets to come of a refused literal
	refused bool   // the rest of the command is dropped
	tooLong bool   // the command is, or its refused literal

	inside  bool  // in a literal the library has asked for, up to the line after
	waiting bool  // for the library's word on the literal announced last
	size    int64 // of that literal
	nonSync bool  // the client does not wait
	nudged  bool  // see settle

	offer  offer
	amends *amends // nil: lines are handed on as they are
}

// word is what the library has written since a literal was announced to it, or
// since it has asked for it.
type word uint8

const (
	silence word = iota
	goAhead      // a continuation request
	refusal      // anything else
)

// settle takes the library's word on a literal, once it turns back to reading.
// It reports false when the connection can't go on.
func (f *framing) settle(said word) bool {
	if len(f.out) > 0 {
		return true
	}
	if f.inside && said == refusal {
		// It was the literal that it did not like; the library forgets to pass
		// over what follows.
		f.skip, f.literal, f.refused, f.inside = f.literal, 0, true, false
		return true
	}
	if !f.waiting {
		return true
	}
	if said == silence {
		// The library has refused a literal that it would have to hold in
		// memory, and takes what follows for an atom. An empty line shows it
		// that there is none.
		if f.nudged {
			return false
		}
		f.out, f.nudged = []byte("\r\n"), true
		return true
	}
	f.waiting, f.nudged = false, false
	switch {
	case said == goAhead:
		f.literal, f.inside = f.size, true
	case f.nonSync:
		f.skip, f.refused, f.tooLong = f.size, true, f.size > maxSkip
	default: // the client has not sent it and won't
		f.command = 0
	}
	return true
}

// read returns what the library may have, 0 when more has to be received.
func (f *framing) read(p []byte) int {
	for len(f.out) == 0 && f.literal == 0 && !f.tooLong {
		if f.amends != nil && f.amends.strange || !f.next() {
			return 0
		}
	}
	if len(f.out) > 0 {
		n := copy(p, f.out)
		f.out = f.out[n:]
		return n
	}
	n := copy(p[:min(int64(len(p)), f.literal)], f.in)
	f.literal -= int64(n)
	f.take(n)
	return n
}

// next looks at a line. It reports false when none is complete. A CR that is not
// at its end, which no command has (RFC 9051 section 9), is made a NUL, which
// none has either: where the library refuses a command, it passes over the rest
// of it up to the next CR, and reads on after that.
func (f *framing) next() bool {
	n := int(min(f.skip, int64(len(f.in))))
	f.skip -= int64(n)
	f.take(n)
	end := bytes.IndexByte(f.in, '\n') + 1
	if f.skip > 0 || end == 0 {
		f.tooLong = f.command+len(f.in) > f.most()
		return false
	}
	line := f.in[:end]
	for i, b := range line[:max(0, end-2)] {
		if b == '\r' {
			line[i] = 0
		}
	}
	f.line(line)
	f.take(end)
	return true
}

func (f *framing) line(line []byte) {
	size, nonSync, ok := announced(line)
	first := f.command == 0
	f.command += len(line)
	f.inside = false
	readable := true
	if first && !f.refused {
		f.sum = 0
		line = f.offer.command(line)
		readable = f.amends == nil || f.amends.line(line)
	}
	if ok && readable && !f.refused && f.tooMuch(size, first) {
		readable = false
		if !first {
			// The library is in the middle of the command. No command has a NUL,
			// so this ends it; what the client is told is in amends.
			f.out = []byte("\x00\r\n")
		}
	}
	switch {
	case f.command > f.most():
		f.tooLong = true
	case (f.refused || !readable) && ok && nonSync:
		f.skip, f.refused, f.tooLong = size, true, size > maxSkip
	case f.refused || !readable:
		f.refused, f.command = false, 0
	case first && bytes.EqualFold(bytes.TrimRight(line, " \r\n"), []byte("DONE")):
		// The library knows it in capitals only (RFC 9051 section 9).
		f.out, f.command = []byte("DONE\r\n"), 0
	case ok:
		f.out = bytes.Clone(line)
		if nonSync {
			at := bytes.LastIndexByte(line, '+')
			f.out = append(f.out[:at], line[at+1:]...)
		}
		f.waiting, f.size, f.nonSync = true, size, nonSync
	default:
		f.out, f.command = bytes.Clone(line), 0
	}
}

// most is how long a command may be without its literals.
func (f *framing) most() int {
	if f.anon {
		return maxAnonCommand
	}
	return maxCommand
}

// tooMuch reports whether the literals of the command, with one more, are more
// than the library may have in memory. The message of an APPEND goes to the disk.
func (f *framing) tooMuch(size int64, first bool) bool {
	most := int64(maxLiterals)
	switch {
	case f.amends == nil:
		return false
	case f.anon:
		most = maxAnonLiterals
	case f.amends.command == "APPEND":
		return false
	}
	if f.sum += min(size, maxLiterals+1); f.sum <= most {
		return false
	}
	f.amends.refuse(fmt.Sprintf("BAD [LIMIT] The literals of a command are limited to %d octets", most), first)
	return true
}

// room is how many octets may be received next where there is space for n.
// direct reports whether those n are the library's at once, as most octets of a
// long literal are.
func (f *framing) room(n int) int {
	if f.literal > 0 {
		return int(min(int64(n), f.literal))
	}
	return n
}

func (f *framing) direct(n int) bool {
	if f.literal == 0 {
		return false
	}
	f.literal -= int64(n)
	return true
}

// add takes what was received.
func (f *framing) add(p []byte) { f.in = append(f.in, p...) }

// take drops the first n octets of what was received.
func (f *framing) take(n int) {
	if f.in = f.in[n:]; len(f.in) == 0 {
		f.in = nil // an idle connection holds no memory
	}
}

// announced returns the literal that a line announces at its end. A line end
// is what the library takes for one.
func announced(line []byte) (size int64, nonSync, ok bool) {
	text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	text, ok = strings.CutSuffix(strings.TrimSuffix(text, " "), "}")
	open := strings.LastIndexByte(text, '{')
	if !ok || open < 0 {
		return 0, false, false
	}
	digits, nonSync := strings.CutSuffix(text[open+1:], "+")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false, false
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		size = math.MaxInt64
	}
	return size, nonSync, true
}
