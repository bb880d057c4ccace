package cli

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// mailbox is what a mail client sees of one: its messages in the order of
// their UIDs.
type mailbox struct {
	name     string
	messages [][]byte
}

// readBackWithin is how long reading all the sample mail may take.
const readBackWithin = time.Minute

// readBack logs in as a mail client would and fetches everything.
func readBack(ctx context.Context, addr, user, password string) (all []mailbox, err error) {
	ctx, cancel := context.WithTimeout(ctx, readBackWithin)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := imapclient.New(conn, nil)
	defer func() { err = errors.Join(err, c.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // the error is the client's
	if err := c.Login(user, password).Wait(); err != nil {
		return nil, err
	}
	list, err := c.List("", "*", nil).Collect()
	for i := 0; i < len(list) && err == nil; i++ {
		all = append(all, mailbox{name: list[i].Mailbox})
		err = all[i].fetch(c)
	}
	return all, errors.Join(err, c.Logout().Wait())
}

func (m *mailbox) fetch(c *imapclient.Client) error {
	if _, err := c.Select(m.name, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return err
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.UIDSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	for _, f := range messages {
		m.messages = append(m.messages, f.FindBodySection(whole))
	}
	return err
}
