package main

import "strconv"

// What package managers are told.
const (
	summary     = "POP3 accounts as one local IMAP mailbox"
	description = "popbridge polls POP3 accounts, keeps every message durably on local disk and\nshows the mail through an IMAP server on this machine, so that all mail clients\nsee one mailbox: flags, folders, drafts and sent mail included, also offline."
	maintainer  = "The popbridge authors <popbridge@users.noreply.github.com>"
)

// epoch is the date for tools that ask SOURCE_DATE_EPOCH.
func (r *release) epoch() string { return strconv.FormatInt(r.date.Unix(), 10) }
