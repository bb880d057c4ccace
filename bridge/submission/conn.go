package submission

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/popbridge/popbridge/internal/serving"
)

var (
	errTooLong = errors.New("the line is too long")
	errBareLF  = errors.New("the line does not end with CR LF")
)

// conn is a connection to a client. What is written is gathered and goes out when the
// session waits for the client, so that commands which came together are answered
// together (RFC 2920).
type conn struct {
	*serving.Conn
	in  *bufio.Reader
	out []byte
}

func newConn(ctx context.Context, c net.Conn, closed func()) *conn {
	n := &conn{Conn: serving.NewConn(ctx, c, closed)}
	n.in = bufio.NewReaderSize(n, maxLine)
	return n
}

// Read sends what was gathered and reads what the client sends.
func (c *conn) Read(p []byte) (n int, err error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.Receive(p)
}

// line reads a command without its line end. Of a longer one than maxLine the rest is
// skipped. CR LF alone ends a line: a client that lets a LF into an address would
// otherwise let whoever wrote that address give commands.
func (c *conn) line() (string, error) {
	raw, err := c.in.ReadSlice('\n')
	for skipped := 0; errors.Is(err, bufio.ErrBufferFull); skipped += len(raw) {
		if skipped > maxSkip {
			return "", errEndless
		}
		if raw, err = c.in.ReadSlice('\n'); err == nil {
			err = errTooLong
		}
	}
	if err != nil {
		return "", err
	}
	c.Heard.Store(true)
	text, found := bytes.CutSuffix(raw, []byte("\r\n"))
	if !found {
		return "", errBareLF
	}
	return string(text), nil
}

// reply gathers a line.
func (c *conn) reply(r reply) {
	c.out = fmt.Appendf(c.out, "%d ", r.code)
	if r.enhanced != "" {
		c.out = append(append(c.out, r.enhanced...), ' ')
	}
	c.out = append(append(c.out, oneLine(r.text)...), "\r\n"...)
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.Send(c.out, serving.FlushTimeout)
	c.out = c.out[:0]
	return err
}

// finish says goodbye and closes. It is called by the session.
func (c *conn) finish(last reply) {
	if why := c.ByeText(); why != "" {
		last = reply{code: 421, enhanced: "4.3.2", text: why}
	}
	if last.code != 0 {
		c.reply(last)
	}
	c.Shut(c.flush)
	c.Abort()
}
