package test

// differ has the messages for which ENVELOPE, BODY and BODYSTRUCTURE are not octet
// for octet those of Dovecot 2.3, each with the reason. There is one kind, which no
// message of the corpus is of: a line of a header field longer than 8 KiB has a
// space, or is a literal, there, because Dovecot reads it in pieces.
var differ = map[string]string{}
