// Package failpoint names the moments at which the crash test kills the
// program: one for each step a message takes between RETR and the day its id
// is forgotten. Hit costs nothing and does nothing, unless the program was
// built with the tag failpoint; then the environment says where to die.
//
//	go build -tags failpoint ./cmd/popbridge
//	POPBRIDGE_FAILPOINT=commit=3 popbridge sync
//
// kills the program with SIGKILL when it comes to commit for the third time.
// The steps of internal/contents and internal/mailstore are their own step names,
// so that their tests and the crash test mean the same places.
package failpoint

// The steps in the order in which a message takes them.
const (
	Spool        = "spool"        // RETR was answered; before its spool file is made
	Received     = "received"     // spooled in full, nothing synced
	Journal      = "journal"      // before the list of the batch's files is written
	Sync         = "sync"         // before a spool file is synced
	Rename       = "rename"       // synced; before it gets its name
	SyncDir      = "syncdir"      // renamed; before its folder is synced
	Commit       = "commit"       // before any transaction is committed
	Publish      = "publish"      // committed; before open sessions are told
	Committed    = "committed"    // told; before Deliver returns
	Unjournal    = "unjournal"    // before the list of the batch's files is removed
	Intended     = "intended"     // "delete intended" is durable; before DELE
	Deleted      = "deleted"      // DELE was answered
	Quit         = "quit"         // QUIT was sent; before its answer
	Acknowledged = "acknowledged" // QUIT was answered with +OK; before the ledger says so
	Recorded     = "recorded"     // the ledger says so
	Forgotten    = "forgotten"    // ids that were absent for long are out of the ledger
)

// All returns every point in the order of the steps.
func All() []string {
	return []string{
		Spool, Received, Journal, Sync, Rename, SyncDir, Commit, Publish, Committed, Unjournal,
		Intended, Deleted, Quit, Acknowledged, Recorded, Forgotten,
	}
}
