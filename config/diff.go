package config

import "slices"

// Changes is what differs between two configurations.
type Changes struct {
	Added, Removed, Changed []string // account names, in the order of the file they are from

	IMAP    bool // the listeners
	Log     bool
	DataDir bool // takes a restart of the whole agent

	KeepExpunged bool // and so does this
}

// None reports whether nothing differs.
func (c Changes) None() bool {
	return len(c.Added) == 0 && len(c.Removed) == 0 && len(c.Changed) == 0 && !c.IMAP && !c.Log && !c.DataDir && !c.KeepExpunged
}

// Diff compares two configurations. Without an old one everything is new.
func Diff(old, new *Config) Changes {
	if old == nil {
		old = &Config{}
	}
	c := Changes{
		IMAP:    old.IMAP.TLS != new.IMAP.TLS || !slices.Equal(old.IMAP.Listen, new.IMAP.Listen),
		Log:     old.Log != new.Log,
		DataDir: old.DataDir != new.DataDir,

		KeepExpunged: old.KeepExpunged != new.KeepExpunged,
	}
	find := func(in *Config, name string) int {
		return slices.IndexFunc(in.Accounts, func(a Account) bool { return a.Name == name })
	}
	for _, a := range new.Accounts {
		switch i := find(old, a.Name); {
		case i < 0:
			c.Added = append(c.Added, a.Name)
		case !a.Equal(old.Accounts[i]):
			c.Changed = append(c.Changed, a.Name)
		}
	}
	for _, a := range old.Accounts {
		if find(new, a.Name) < 0 {
			c.Removed = append(c.Removed, a.Name)
		}
	}
	return c
}
