// Package contents keeps message files: one immutable file per distinct message,
// named by the SHA-256 of its bytes. It knows files and folders only, not mailboxes,
// flags or the index that says which files are needed.
//
//	mail/2a/2a91....eml  the messages, in 256 folders
//	tmp/spool-*          messages on their way in
//	tmp/batch-*          journals: the files a batch is about to place or a purge to remove
//	tmp/anchor-*         messages that someone waits for, under names that are durable
//	tmp/probe-*          what Probe writes
//	damaged/             what SetAside moved out of the way
//
// # What always holds
//
//   - A file that Batch.Place has placed is durable under its name: it is synced,
//     then renamed, then its folder is synced. Only after that may a transaction
//     mention it. It is removed after the transaction that forgets it.
//     Where the message is anchored, only its anchor is durable at first, and Sweep
//     makes the rest good.
//   - A crash in between leaves at most a file that no transaction mentions, and the
//     journal that names it, by which Sweep removes it. A file that no journal names
//     is never removed: it may be someone's mail.
//   - A file is removed only while no batch relies on it and Files.Known does not
//     know it: between the two questions no batch can begin.
//   - A sound file is never replaced: readers may have it open.
//
// # Who owns what
//
// Files owns the folders; a Spooled belongs to who made it until it is given to a
// Batch, which removes it. There may be several programs that read one set of
// folders, and one that writes. Errors are those of the file system as they are: who
// calls says what they mean. Goroutines end with the
// call that starts them, but for that which settles an anchored message: Close waits.
package contents
