// Package mailstore keeps the mail of one user durably: an index in SQLite over the
// message files (internal/contents), the ledger of what came from which POP server,
// and the views IMAP sessions read.
//
// # On disk
//
//	index.db             SQLite in WAL mode, synchronous=FULL; schema version in user_version
//	mail, tmp, damaged   message files (internal/contents)
//	recovery.log         what a lost index is made from again (see recovery.go)
//	search/*.terms       which terms the texts have (internal/textindex); made again when deleted
//
// # In the index
//
//	meta          (key, value)                                  last UIDVALIDITY given, identity, generation, the Outbox
//	mailbox       (id, name, uidvalidity, uidnext, modseq, recent_from, history_from, counts)
//	subscription  (name)                                        also of mailboxes that do not exist
//	content       (id, hash, size, orphaned_at, missing, found) one row per message file
//	envelope, header, structure (content_id, version, data)     what internal/message says about it
//	message       (mailbox_id, uid -> content_id, system, keywords, modseq, received_at, size, saved_at)
//	vanished      (mailbox_id, modseq, first, last)              runs of UIDs that were removed (see vanished.go)
//	expunged      (id, mailbox, uid, ... as message)             what Undelete can bring back
//	keyword_set   (id, names)                                   interned sets of keywords
//	account       (name, stored, on_server, last_success, ...)  state between two runs
//	ledger        (account, uidl, dup -> hash, size, state, ...)
//	outgoing      (id, uid, hash, account, state, ...)          message on its way out, in the Outbox; with uid 0 one that was sent
//	outgoing_recipient (outgoing_id, place, address, state, reply)
//	outgoing_dsn  (outgoing_id, place, asked)                   parameters of RFC 3461: of MAIL with place 0, of the recipients from 1 on
//	sending       (account, memory)                             what the runner of an account remembers
//	device        (name, hash, read_only, ...)                  IMAP logins
//
// The pieces of summaries have tables of their own because each is several times as
// long as the rest of a content, and commands read one kind of them; the size stands in the message row as well, so that a
// mailbox is opened by one ordered scan of one table. The ledger names contents
// by hash, not by row: it outlives them. A content is orphaned while no mailbox
// has it, missing while its file has to be fetched again, found when Repair met
// its file without a row and could not know where it came from. Times are Unix seconds.
//
// # What always holds
//
//   - A row never stands without its file: files are placed before the transaction
//     that mentions them, and removed after the transaction that forgets them.
//   - A message and its ledger entry are one transaction.
//   - UIDs rise and are never used twice in a mailbox. UIDVALIDITY is unique in
//     the store, given once to a mailbox, and kept when it is renamed.
//   - Counts, UIDNEXT and the modification sequence of a mailbox change in the
//     transaction that changes its messages, and are what a count would give.
//   - A message in the Outbox has its row and recipients, and none else is there. What
//     was accepted for a recipient stays so, and what was handed over (Handing) waits
//     again only when a person says so.
//   - A store is known by its identity, and an older copy of it by its generation
//     (see identity.go). Before each transaction the index at its path is compared
//     with the one that is open.
//
// # Who does what when
//
// There is one writer: a connection of its own behind a mutex. Each change is
// one transaction; when it is committed it is published, still under the mutex,
// so views see commits in their order. Publishing makes the next immutable
// Snapshot of a mailbox that is open and puts a mark into each view's channel of
// capacity one; a reader that is slow finds one mark and the newest snapshot,
// however much happened. Reads use a pool of their own and never wait for the
// writer. File work of a delivery is done outside the mutex; what keeps two
// deliveries and a purge of the same content from each other is
// contents.Files.Exclusive.
//
// The package starts goroutines only inside calls, and they end with the call;
// but for one, which keeps the text index up where Options.IndexText asks for it
// and ends in Close.
package mailstore
