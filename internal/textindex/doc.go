// Package textindex narrows full-text searches: files say which terms
// (mailtext.Terms) the contents of a store have, and so which contents can have a
// text in them, or do (docs/decisions/0008).
//
//	index.go      the index of a store: what is asked of it
//	indexing.go   the goroutine that keeps it up
//	segment.go    a file: its format, how it is written and searched
//	merge.go      several files become one
//
// # What always holds
//
// No content that has the text is ruled out: one that is in no segment, or in one
// that is damaged, may match. The index is about contents by their hash, so it stays
// right whatever happens to the ids, and its folder may be removed at any time. No
// text of a content that was purged stays for longer than it takes to write its
// segment again.
//
// # Who does what
//
// One goroutine, from Start to Stop, reads contents, writes segments and removes
// files; nothing else writes in the folder. Searches read the segments at the same
// time. Neither takes a lock of the store.
package textindex
