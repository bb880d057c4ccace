// Package mailconn is what the clients of POP3 and SMTP have in common below their
// protocols: connecting, TLS with its pins and what its failures mean, lines with a
// deadline in front of every read and write, and secrets that must not be shown.
package mailconn
