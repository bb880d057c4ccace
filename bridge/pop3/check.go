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
type Check struct {
	Num  int // of a listed message; 0: nothing can be checked
	UIDL string
	Size int64 // as listed, for servers that refuse UIDL with a number; 0: LIST is not asked

	// First has it asked before the first message too, when nothing can be out of
	// step: what goes wrong then is how the server answers the command.
	First bool

	// Passed is called when all that recv has got is whole and what was asked for.
	// It may be nil.
	Passed func()

	came int64 // octets of the message, if it was retrieved
}

// CheckError is the answer to a check that says nothing, or ended the connection.
type CheckError struct {
	Command string // "UIDL n" or "LIST n"
	First   bool   // before any message: see Check.First
	error
}

// Unwrap returns what was wrong with the answer.
func (e *CheckError) Unwrap() error { return e.error }

func (k Check) failed(err error, first bool) error {
	command := "LIST n"
	if k.UIDL != "" {
		command = "UIDL n"
	}
	return &CheckError{command, first, err}
}

// A check is due behind so many messages, so many octets as listed, or so long
// after the last one; and behind the last message.
const (
	checkCount = 64
	checkBytes = 4 << 20
	checkAfter = 10 * time.Second
)

func (k Check) command() string {
	if k.UIDL != "" {
		return "UIDL " + strconv.Itoa(k.Num)
	}
	return "LIST " + strconv.Itoa(k.Num)
}

// matches reports whether text, behind +OK, is the listing of the message. Servers
// that guess sizes may know that of a message once they have sent it.
func (k Check) matches(text string) bool {
	num, rest, err := parseNumber([]byte(text))
	if err != nil || num != k.Num {
		return false
	}
	if k.UIDL != "" {
		return string(rest) == k.UIDL
	}
	size, _ := parseSize(rest)
	return size == k.Size || k.came > 0 && size == k.came
}

// refused is what to ask for after the server has refused the check.
func (k Check) refused() Check {
	if k.UIDL != "" && k.Size > 0 {
		k.UIDL = ""
		return k
	}
	return Check{}
}

// checked reads the answer to the check. What is neither the listing nor -ERR
// ends the connection. Where nothing is left to ask for, -ERR is an error too: it
// may be the answer to something else.
func (c *Client) checked() (passed bool, err error) {
	k := c.check
	text, err := c.reply(k.command())
	switch {
	case err == nil && k.matches(text):
		c.checkable = true
		return true, nil
	case err == nil:
		err = c.stray(fmt.Sprintf("the answer to %s was %s", k.command(), c.foreign(text)))
	case isReply(err):
		if c.check = k.refused(); c.check.Num > 0 {
			return false, nil
		}
	}
	return false, k.failed(err, false)
}

// try sends the check before any message.
func (c *Client) try() error {
	c.unproven = true
	err := c.prove()
	if failed, ok := errors.AsType[*CheckError](err); ok {
		failed.First = true
	}
	return err
}

// stray ends the connection because of octets that nothing asked for.
func (c *Client) stray(what string) error {
	return c.fail(&stepError{fault.New(fault.Protocol, what, ""), false})
}

// quiet makes sure that nothing is left of the answers when none is due.
func (c *Client) quiet() error {
	if n := c.wire.r.Buffered(); n > 0 {
		return c.stray(fmt.Sprintf("the server sent %d octets that nothing asked for", n))
	}
	return nil
}

// prove makes sure that the answers are in step, before anything is deleted.
func (c *Client) prove() error {
	for c.unproven && c.check.Num > 0 {
		if err := c.send(c.check.command(), c.check.command()); err != nil {
			return err
		}
		passed, err := c.checked()
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
	case f.c.check.Num == 0 || f.discard || f.unchecked == 0:
		return false
	case len(f.sent) == 0 && len(f.open) == 0: // nothing came since the last one
		f.unchecked = 0
		return false
	}
	return f.unchecked >= checkCount || f.octets >= checkBytes || time.Since(f.checkedAt) >= checkAfter ||
		f.stop != nil || len(f.todo) == 0 || f.alone || f.todo[0].Alone
}

func (f *retrieval) queueCheck() {
	f.sent = append(f.sent, request{check: true})
	line := f.c.check.command()
	f.c.queue(line, line)
	f.unchecked, f.octets, f.checkedAt = 0, 0, time.Now()
}

// passed takes the answer to a check.
func (f *retrieval) passed() error {
	ok, err := f.c.checked()
	if err == nil && ok && len(f.sent) == 0 {
		err = f.c.quiet()
	}
	switch {
	case isReply(err):
		f.stop = err
		return nil
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
