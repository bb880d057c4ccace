package mailstore

import "context"

// HeldByRestore reports whether a message is held because the mail was restored or moved,
// not because a person wants it.
func (m *Outgoing) HeldByRestore() bool { return m.State == Held && m.LastError == heldText }

// heldByRestore counts them.
func (s *Store) heldByRestore(ctx context.Context) (n int, err error) {
	queue, err := s.Outgoing(ctx)
	for _, m := range queue {
		if m.HeldByRestore() {
			n++
		}
	}
	return n, err
}
