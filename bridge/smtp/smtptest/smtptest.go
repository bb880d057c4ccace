// Package smtptest has the scripts of SMTP sessions for tests, to be played by
// scripted.New. They go one behind the other:
//
//	scripted.New(t, smtptest.Hello("PIPELINING")+smtptest.Login()+smtptest.Taken("ann@a.example", "bob@b.example")+smtptest.Quit)
//
// A script holds for clients that pipeline and for those that don't.
package smtptest

import (
	"regexp"
	"strings"
)

// Hello is a session up to the answer to EHLO, which announces the extensions and AUTH
// PLAIN.
func Hello(extensions ...string) string {
	return "S: 220 mail.example.com ESMTP\n" + Extended(append(extensions, "AUTH PLAIN")...)
}

// Extended is EHLO and its answer.
func Extended(extensions ...string) string {
	var b strings.Builder
	b.WriteString("C~ EHLO .+\nS: 250-mail.example.com\n")
	for _, e := range extensions {
		b.WriteString("S: 250-" + e + "\n")
	}
	b.WriteString("S: 250 HELP\n")
	return b.String()
}

// Login is a login with AUTH PLAIN that is accepted, whatever the password is.
func Login() string { return LoginAnswer("235 2.7.0 accepted") }

// LoginAnswer is a login with AUTH PLAIN and the reply to it.
func LoginAnswer(reply string) string {
	return "C: AUTH PLAIN\nS: 334 \nC*\nS: " + reply + "\n"
}

// Taken is a transaction in which all is accepted. From and to are addresses without
// brackets.
func Taken(from string, to ...string) string {
	return Envelope(from, to...) + Content("250 2.0.0 queued")
}

// Envelope is MAIL and RCPT, all of which are accepted.
func Envelope(from string, to ...string) string {
	var b strings.Builder
	b.WriteString(Mail(from, "250 2.1.0 ok"))
	for _, t := range to {
		b.WriteString(Rcpt(t, "250 2.1.5 ok"))
	}
	return b.String()
}

// Mail is MAIL, with any parameters, and the reply to it.
func Mail(from, reply string) string {
	return "C~ MAIL FROM:<" + regexp.QuoteMeta(from) + ">.*\nS: " + reply + "\n"
}

// Rcpt is one RCPT and the reply to it.
func Rcpt(to, reply string) string { return "C: RCPT TO:<" + to + ">\nS: " + reply + "\n" }

// Content is DATA, a message and the reply to its final dot.
func Content(reply string) string {
	return "C: DATA\nS: 354 go ahead\nC.\nS: " + reply + "\n"
}

// Quit is the end of a session.
const Quit = "C: QUIT\nS: 221 2.0.0 bye\n"
