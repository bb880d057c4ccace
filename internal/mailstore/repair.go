package mailstore

import (
	"context"

	"github.com/popbridge/popbridge/internal/fault"
)

// RepairOptions are what Repair may be given.
type RepairOptions struct {
	Progress func(done, total int) // called for each content; may be nil
}

// RepairReport is what was found and what became of it. The codes are those of
// Check, and "damaged-log" for a recovery log that could not be read in full.
type RepairReport struct {
	Mended    []Problem // wrong before, right now
	Left      []Problem // cannot be mended here; a file that is wanted comes with the next poll where the server still has it
	Wanted    int       // contents whose files are missing or were moved aside
	Recovered int       // files of unknown origin that are messages in the mailbox Recovered now
	Aside     string    // folder with the damaged files that were moved aside; empty: none
	Rebuilt   bool      // the index was made anew
}

// Repair mends what Check finds, as far as it can be mended. It may run while
// the store is in use by this program, not by another one. No UID and no
// UIDVALIDITY changes. fault.Corrupt when the index itself is damaged: close the
// store then and call Rebuild.
func (s *Store) Repair(ctx context.Context, o RepairOptions) (RepairReport, error) {
	return RepairReport{}, errNotYet
}

// Rebuild makes a new index from the recovery log and the message files; the
// old one is moved aside. The store in dir must not be open anywhere. UIDs,
// UIDVALIDITY, flags, ledger, subscriptions and devices are those of the log;
// UIDNEXT is never lower than it was. Ends with a Repair.
func Rebuild(ctx context.Context, dir string, o Options) (RepairReport, error) {
	return RepairReport{}, errNotYet
}

var errNotYet = fault.New(fault.Internal, "this is not possible yet", "")
