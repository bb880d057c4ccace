package mailstore

// HeldByRestore reports whether a message is held because the mail was restored or moved,
// not because a person wants it.
func (m *Outgoing) HeldByRestore() bool { return m.State == Held && m.LastError == heldText }
