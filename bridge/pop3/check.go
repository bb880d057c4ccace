package pop3

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// ErrOutOfStep says that the answers do not belong to the requests, so that no
// message since the last Check.Passed may be taken for whole or for the one that
// was asked for.
var ErrOutOfStep = errors.New("the server's answers are out of step with the requests")

// Check is how Retr makes sure that the answers are in step with the requests.
// RFC 1939 section 3 has servers stuff the dots that begin a line. With one that
// does not, a line with a single dot ends a message too early, and what its
// sender wrote behind it stands in the stream as the answer to the next request.
//
// So behind the messages the server is asked once more for the listing of one
// message. Its unique id is nothing that the sender of another message knows.
//
// Where the server refuses that, or the message has no id, its size is asked for
// with LIST; and where that is refused too, STAT: what all messages come to the
// sender of one does not know either.
type Check struct {
	Num  int    // of a listed message; 0: UIDL and LIST are not asked
	UIDL string // its unique id; "": UIDL is not asked
	Size int64  // as listed; 0: LIST is not asked
	Stat bool   // STAT may be asked, if Client.Stat was answered in this session

	// First has it asked before the first message too, when nothing can be out of
	// step: what goes wrong then is how the server answers the command.
	First bool

	// Passed is called when all that recv has got is whole and what was asked for.
	// It may be nil.
	Passed func()

	refused int   // commands that the server has refused or that cannot be asked: askUIDL and on
	came    int64 // octets of the message, if it was retrieved
}

// The commands of a check, in their order. Behind them nothing is left to ask for.
const (
	askUIDL = iota
	askList
	askStat
)

// CheckError ended the connection at the answer to a check.
type CheckError struct {
	Command string // "UIDL n", "LIST n" or "STAT"
	First   bool   // before any message: see Check.First
	error
}

// Unwrap returns why it ended.
func (e *CheckError) Unwrap() error { return e.error }

func (k Check) failed(err error, first bool) error {
	return &CheckError{[]string{"UIDL n", "LIST n", "STAT"}[min(k.refused, askStat)], first, err}
}

// A check is due behind so many messages, so many octets as listed, or so long
// after the last one; and behind the last message.
const (
	checkCount = 64
	checkBytes = 4 << 20
	checkAfter = 10 * time.Second
)

// next is the check with the first command that can be asked and was not refused, in
// a session in which STAT was answered with stat.
func (k Check) next(stat string) Check {
	can := []bool{k.Num > 0 && k.UIDL != "", k.Num > 0 && k.Size > 0, k.Stat && k.isStat(stat)}
	for k.refused < len(can) && !can[k.refused] {
		k.refused++
	}
	return k
}

// command is "" where nothing is left to ask for.
func (k Check) command() string {
	return []string{"UIDL " + strconv.Itoa(k.Num), "LIST " + strconv.Itoa(k.Num), "STAT", ""}[k.refused]
}

// matches reports whether text, behind +OK, is the answer to the command.
func (k Check) matches(text, stat string) bool {
	switch k.refused {
	case askUIDL:
		return k.matchesID(text)
	case askList:
		return k.matchesSize(text)
	default:
		return text == stat
	}
}

func (k Check) matchesID(text string) bool {
	num, rest, err := parseNumber([]byte(text))
	return err == nil && num == k.Num && string(rest) == k.UIDL
}

// matchesSize also takes the size of what has come: servers that guess sizes may know
// that of a message once they have sent it.
func (k Check) matchesSize(text string) bool {
	num, rest, err := parseNumber([]byte(text))
	if err != nil || num != k.Num {
		return false
	}
	size, _ := parseSize(rest)
	return size == k.Size || k.came > 0 && size == k.came
}

// isStat reports whether text can be an answer to STAT, and is not that to one of the
// commands before it: the messages of a few servers become more in a session.
func (k Check) isStat(text string) bool {
	_, rest, err := parseNumber([]byte(text))
	if err == nil {
		_, err = parseSize(rest)
	}
	return err == nil && !k.matchesID(text) && !k.matchesSize(text)
}

// Checkable reports whether a check can still be asked in this session, while Retr runs.
func (c *Client) Checkable() bool { return c.check.command() != "" }

// checked reads the answer to the check k. What is neither the answer to its command
// nor -ERR ends the connection.
func (c *Client) checked(k Check) (passed bool, err error) {
	text, err := c.reply(k.command())
	k.came = c.check.came
	switch {
	case err == nil && k.matches(text, c.stat):
		c.checkable = true
		return true, nil
	case err == nil && (k.refused < askStat || !k.isStat(text)):
		err = c.stray(fmt.Sprintf("the answer to %s was %s", k.command(), c.foreign(text)))
	case err == nil, isReply(err):
		if k.refused++; c.check.refused < k.refused {
			c.check.refused = k.refused
			c.check = c.check.next(c.stat)
		}
		return false, nil
	}
	return false, k.failed(err, false)
}

// try sends the check before any message.
func (c *Client) try() error {
	c.unproven = true
	if err := c.prove(); err != nil {
		return c.check.failed(err, true)
	}
	return nil
}

// stray ends the connection because of octets that nothing asked for.
func (c *Client) stray(what string) error {
	return c.fail(&stepError{fault.New(fault.Protocol, what, ""), false})
}

// quiet makes sure that nothing is left of the answers when none is due.
func (c *Client) quiet() error {
	if n := c.wire.R.Buffered(); n > 0 {
		return c.stray(fmt.Sprintf("the server sent %d octets that nothing asked for", n))
	}
	return nil
}

// prove makes sure that the answers are in step, before anything is deleted.
func (c *Client) prove() error {
	for c.unproven && c.check.command() != "" {
		if err := c.send(c.check.command(), c.check.command()); err != nil {
			return err
		}
		passed, err := c.checked(c.check)
		if err != nil {
			return err
		}
		c.unproven = !passed
	}
	return c.quiet()
}

// checkDue reports whether a check is to be sent before anything else.
func (f *retrieval) checkDue() bool {
	switch {
	case f.c.check.command() == "" || f.discard || f.unchecked == 0:
		return false
	case len(f.sent) == 0 && len(f.open) == 0: // nothing came since the last one
		f.unchecked = 0
		return false
	}
	return f.unchecked >= checkCount || f.octets >= checkBytes || time.Since(f.checkedAt) >= checkAfter ||
		f.stop != nil || len(f.todo) == 0 || f.alone || f.todo[0].Alone
}

func (f *retrieval) queueCheck() {
	check := f.c.check
	f.sent = append(f.sent, request{check: &check})
	line := check.command()
	f.c.queue(line, line)
	f.unchecked, f.octets, f.checkedAt = 0, 0, time.Now()
}

// passed takes the answer to a check.
func (f *retrieval) passed(check Check) error {
	ok, err := f.c.checked(check)
	if err == nil && ok && len(f.sent) == 0 {
		err = f.c.quiet()
	}
	switch {
	case err != nil:
		return err
	case !ok:
		f.unchecked = max(f.unchecked, 1)
		return nil
	}
	f.open, f.alone = f.open[:0], false
	f.c.unproven = len(f.sent) > 0
	if f.passedTo != nil {
		f.passedTo()
	}
	return nil
}

// outOfStep marks the error of a connection that ended because requests and
// answers don't fit together, and names the message that is the cause where no
// other can be.
func (f *retrieval) outOfStep(err error, silent bool) error {
	c := f.c
	if !silent && !fault.Is(err, fault.Protocol) {
		return err
	}
	single := f.alone || !c.pipelining()
	switch {
	case !silent:
		err = &stepError{err, !single}
	case !single:
		err = fmt.Errorf("%w: %w", ErrPipelining, err)
	}
	c.dead = err
	if _, atCheck := errors.AsType[*CheckError](err); atCheck && !c.checkable {
		return err // it may be how the server answers the command
	}
	if single && len(f.open) == 1 && !f.discard && f.ctx.Err() == nil {
		f.failed(f.open[0], fault.Wrap(err, fault.Protocol,
			fmt.Sprintf("the server goes on behind the end of message %d, so it is not taken for whole", f.open[0]),
			"the server may not byte-stuff its messages; read this one in the provider's web mail"))
	}
	return err
}

// stepError is an error that is ErrOutOfStep, and ErrPipelining where that may be
// the cause.
type stepError struct {
	error
	pipelined bool
}

func (e *stepError) Error() string {
	if e.pipelined {
		return ErrPipelining.Error() + ": " + e.error.Error()
	}
	return e.error.Error()
}

func (e *stepError) Unwrap() error { return e.error }

func (e *stepError) Is(target error) bool {
	return target == ErrOutOfStep || e.pipelined && target == ErrPipelining
}
