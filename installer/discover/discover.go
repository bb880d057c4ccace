// Package discover finds the POP3 and SMTP servers of a mail address.
package discover
