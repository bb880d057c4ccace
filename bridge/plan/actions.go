package plan

import "github.com/popbridge/popbridge/internal/mailstore"

// Fetch is a message to retrieve. With an empty UIDL its content decides
// whether it is known.
type Fetch struct {
	Listed
	Dup int // the ledger id it gets: which of the messages with this UIDL
	// Row is the row it is fetched for once more: to repair a file that is
	// damaged here, or to compare what may be another message. nil: not known.
	Row *mailstore.LedgerEntry
}

// IsRow reports whether a message with this content is the one of the row it was
// fetched for.
func (f Fetch) IsRow(hash mailstore.Hash) bool { return f.Row != nil && f.Row.Hash == hash }

// IsAgain reports whether the message is surely that of its row: one to compare
// would get an id of its own.
func (f Fetch) IsAgain() bool { return f.Row != nil && f.Row.Dup == f.Dup }

// Delete is a message to delete on the server and the row that says it is
// stored here.
type Delete struct {
	Num    int
	Entry  mailstore.LedgerEntry
	Why    string // expunged, never, age, newest, full or, of what is in doubt, incomplete
	Reason string // the same in words
}

// Actions is what one session has to do.
type Actions struct {
	Fetch  []Fetch
	Delete []Delete
	Skip   int // listed messages with nothing to fetch

	Seen     []mailstore.LedgerEntry // rows to write: listed
	Absent   []mailstore.LedgerEntry // rows to write: not listed; only after a complete listing
	Forget   []mailstore.LedgerEntry // rows to remove; only after a complete listing
	Unlisted []mailstore.LedgerEntry // every row no listed message surely stands for: what a fetched message may prove to be

	// Readopt gives rows the new ids of their messages. It comes first, and the
	// rest is planned again then.
	Readopt []mailstore.Readoption
}
