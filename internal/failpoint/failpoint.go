// Package failpoint names the moments at which the crash test kills the
// program: one for each step a message takes between RETR and the day its id
// is forgotten, and between DATA and the folder Sent. Hit costs nothing and does
// nothing, unless the program was built with the tag failpoint; then the environment
// says where to die.
//
//	go build -tags failpoint ./cmd/popbridge
//	POPBRIDGE_FAILPOINT=commit=3 popbridge sync
//
// kills the program with SIGKILL when it comes to commit for the third time.
// The steps of a file and of a commit are the step names of internal/contents and
// internal/mailstore, so that their tests and the crash test mean the same places.
package failpoint

// The steps in the order in which a message that is fetched takes them.
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

// What a message that is sent comes to besides, in the order of the steps; those from
// Spool to Unjournal are before them.
const (
	Submitted = "submitted" // it is in the queue; before the mail program gets its 250
	Offered   = "offered"   // all but the final dot was sent to the server
	Handing   = "handing"   // that the dot comes next is written; before it is committed
	Handed    = "handed"    // it is committed; before it is noted outside of the store
	Dot       = "dot"       // before the final dot is sent
	Dotted    = "dotted"    // the final dot was sent; before its answer is read
	Answered  = "answered"  // the answer was read; before anything of it is written
	Copied    = "copied"    // the copy in Sent is made; before that is committed
	Left      = "left"      // the message is out of the Outbox; before that is committed
	Concluded = "concluded" // what came of it is committed
)

// Sending returns every point that a message that is sent comes to, in the order of the
// steps.
func Sending() []string {
	return []string{
		Spool, Journal, Sync, Rename, SyncDir, Commit, Publish, Committed, Unjournal, Submitted,
		Offered, Handing, Handed, Dot, Dotted, Answered, Copied, Left, Concluded,
	}
}

// Fetching returns every point that a message that is fetched comes to, in the order of
// the steps.
func Fetching() []string {
	return []string{
		Spool, Received, Journal, Sync, Rename, SyncDir, Commit, Publish, Committed, Unjournal,
		Intended, Deleted, Quit, Acknowledged, Recorded, Forgotten,
	}
}
