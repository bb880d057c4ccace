package mailstore

import (
	"context"
	"errors"
)

func (t *tx) subscribe(b *box) error {
	b.Subscribed, b.touched = true, true
	return t.listed(b.Name, true)
}

// listed puts a name on the list of subscriptions, or takes it off.
func (t *tx) listed(name string, on bool) error {
	if on {
		t.log.line('+', name)
		return t.exec(`INSERT OR IGNORE INTO subscription (name) VALUES (?)`, name)
	}
	t.log.line('-', name)
	return t.exec(`DELETE FROM subscription WHERE name = ?`, name)
}

// Subscribe puts a name on the list of subscriptions or takes it off. The
// mailbox need not exist.
func (s *Store) Subscribe(ctx context.Context, name string, on bool) error {
	name, err := canonical(name)
	if err != nil {
		return err
	}
	return s.write(ctx, "subscribe", func(t *tx) error {
		if b, err := t.named(name); err == nil {
			b.Subscribed, b.touched = on, true
		} else if !errors.Is(err, errNoMailbox) {
			return err
		}
		if on {
			if err := t.atMost(maxSubscriptions, "subscription", "subscriptions"); err != nil {
				return err
			}
		}
		return t.listed(name, on)
	})
}

// Subscriptions returns the subscribed names, sorted.
func (s *Store) Subscriptions(ctx context.Context) (names []string, err error) {
	err = s.reader.rows(ctx, `SELECT name FROM subscription ORDER BY name`, nil, into(&names, column))
	return names, failure(err, "list subscriptions")
}
