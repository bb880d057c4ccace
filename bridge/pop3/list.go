package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/popbridge/popbridge/internal/fault"
)

// ErrNoUIDL says that the server refused UIDL. Whether it never had it or
// refuses it for now is for the caller to know.
var ErrNoUIDL = errors.New("the server gives no UIDL listing")

// What is taken of a listing, so that no server can fill the memory. A mailbox
// of more messages is known by its first ones; the others show once those are
// deleted.
const (
	maxListed       = 1 << 20 // messages
	maxListingBytes = 1 << 30
	maxUIDL         = 512           // bytes of an id; RFC 1939 has 70
	maxSize         = math.MaxInt32 // octets: more is what servers say that do not know
	// maxIDs bounds all ids of a mailbox, in bytes. maxListed of 70 go through.
	maxIDs = 80 << 20
)

// List asks for the sizes of all messages and hands them over as they come. A
// size of 0 means that it was not legible. A line that makes no sense is
// skipped and counted in warnings; each number is handed over once.
func (c *Client) List(ctx context.Context, yield func(num int, size int64)) (warnings int, err error) {
	return c.listing(ctx, "LIST", func(num int, rest []byte, _ bool) error {
		size, err := parseSize(rest)
		yield(num, size)
		return err
	})
}

// UIDL asks for the unique ids of all messages and hands them over as they
// come. An id may be empty, as one over maxUIDL is made, longer than the 70
// characters of RFC 1939, and the same for several messages; each number is
// handed over once. A line that
// makes no sense is skipped and counted in warnings. A refusal that is not
// marked as temporary is ErrNoUIDL.
func (c *Client) UIDL(ctx context.Context, yield func(num int, uidl string)) (warnings int, err error) {
	octets := 0
	warnings, err = c.listing(ctx, "UIDL", func(num int, rest []byte, cut bool) error {
		if octets += len(rest); octets > maxIDs {
			return nil // all of them are refused below
		}
		if cut {
			yield(num, "") // the beginning of an id is no id
			return nil     // and the cut line was warned of
		}
		if len(rest) > maxUIDL {
			yield(num, "")
			return errors.New("id too long")
		}
		yield(num, string(rest))
		if len(rest) == 0 {
			return errors.New("no unique id")
		}
		return nil
	})
	if reply, ok := errors.AsType[*ReplyError](err); ok && !reply.temporary() {
		err = fmt.Errorf("%w: %w", ErrNoUIDL, err)
	}
	if err == nil && octets > maxIDs {
		// A part of them would be taken for a mailbox from which the others are gone.
		err = fault.New(fault.Protocol, fmt.Sprintf("the unique ids of the mailbox are longer than %d MB in all", maxIDs>>20),
			"nothing was fetched or deleted; ask the provider, or move messages away there")
	}
	return warnings, err
}

// listing runs a listing command. parse gets the rest of each line after its
// number, without white space around it.
func (c *Client) listing(ctx context.Context, command string, parse func(num int, rest []byte, cut bool) error) (warnings int, err error) {
	var seen numbers
	err = c.run(ctx, func() error {
		if _, err := c.command(command); err != nil {
			// Some servers have nothing to list in an empty maildrop.
			if c.emptyDrop && isReply(err) {
				return nil
			}
			return err
		}
		listed := 0
		return c.multiline(maxListingBytes, func(line []byte, cut bool) {
			num, rest, err := parseNumber(line)
			switch {
			case err != nil:
			case listed >= maxListed:
				err = errors.New("too many messages")
			case !seen.add(num):
				err = errors.New("number listed twice")
			default:
				listed++
				err = parse(num, rest, cut)
			}
			if err == nil && cut {
				err = errors.New("line too long")
			}
			if err != nil {
				warnings++
				c.warn("%s: %v in %s", command, err, fault.Quote(string(line)))
			}
		})
	})
	return warnings, err
}

const blanks = " \t\r\v\f\x00"

// parseNumber splits a line of a listing at its message number.
func parseNumber(line []byte) (num int, rest []byte, err error) {
	line = bytes.Trim(line, blanks)
	end := bytes.IndexAny(line, blanks)
	if end < 0 {
		end = len(line)
	}
	n, err := strconv.ParseUint(string(line[:end]), 10, 31)
	if err != nil || n == 0 {
		return 0, nil, errors.New("no message number")
	}
	return int(n), bytes.Trim(line[end:], blanks), nil
}

// parseSize reads the size that begins rest. RFC 1939 section 5 allows for
// more information after it.
func parseSize(rest []byte) (int64, error) {
	if end := bytes.IndexAny(rest, blanks); end >= 0 {
		rest = rest[:end]
	}
	size, err := strconv.ParseInt(string(rest), 10, 64)
	if err != nil || size < 0 || size >= maxSize {
		return 0, errors.New("no size")
	}
	return size, nil
}

// numbers is the set of message numbers of a listing. Those of a maildrop run
// from 1 without gaps, which costs nothing to remember.
type numbers struct {
	run  int // 1..run are in the set
	rest map[int]struct{}
}

// add reports whether num is new.
func (s *numbers) add(num int) bool {
	if num == s.run+1 {
		if _, ok := s.rest[num]; ok {
			return false
		}
		s.run = num
		return true
	}
	if _, ok := s.rest[num]; ok || num <= s.run {
		return false
	}
	if s.rest == nil {
		s.rest = make(map[int]struct{})
	}
	s.rest[num] = struct{}{}
	return true
}
