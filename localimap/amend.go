package localimap

import (
	"bytes"
	"slices"
	"strings"
)

// amends corrects what the library makes of commands that it cannot read. It
// sees the first line of every command before the library does, and the first
// thing that the library writes after it.
type amends struct {
	tag      string // of the current command
	command  string // its name, in capitals
	answer   []byte // to lines that the library does not get
	instead  string // of what the library answers to the command
	anon     bool   // nobody has logged in
	strange  bool   // the client speaks something else than IMAP
	prompted bool   // the next line is no command: AUTHENTICATE, IDLE
	fresh    bool   // the library has written nothing since the command
	readOnly bool   // what this SELECT opens may only be read
	first    bool   // no command has come yet
	startTLS bool   // TLS is still to be started; the library has no part in it
}

// line takes the first line of a command and reports whether the library may
// have it. It closes the connection over one without tag and name, and waits
// for the rest of a quoted string, which has no line end in it (RFC 9051 section
// 9), until the client gives up. Before login it gets what may be sent then, and
// a line that is no IMAP command is the last one.
func (a *amends) line(line []byte) bool {
	if a.prompted {
		a.prompted = false
		return true
	}
	first := a.first
	a.fresh, a.readOnly, a.instead, a.first = true, false, "", false
	tag, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	name, rest, _ := strings.Cut(rest, " ")
	a.tag, a.command = tag, strings.ToUpper(name)
	problem := ""
	switch {
	case !isAtom(tag) || strings.Contains(tag, "+"):
		tag, problem = "*", "Expected a tag"
	case !isAtom(name):
		problem = "Expected a command"
	case a.command == "UID" && !isAtom(strings.SplitN(rest, " ", 2)[0]):
		problem = "Expected a command after UID"
	case endsInQuotes(rest):
		problem = "A quoted string has no end"
	case a.command == "ID": // RFC 2971; nothing is told, and nothing is done with what is
		a.answer = append(a.answer, "* ID NIL\r\n"+tag+" OK ID completed\r\n"...)
		return false
	case a.command == "STARTTLS" && !a.startTLS:
		a.refuse("BAD [CLIENTBUG] TLS cannot be started", true)
		return false
	case a.anon && slices.Contains(afterLogin, a.command):
		a.refuse("BAD [CLIENTBUG] "+a.command+" is for clients that have logged in", true)
		return false
	case a.anon && !slices.Contains(beforeLogin, a.command):
		problem = "Unknown command"
	case first && rest != "" && slices.Contains(withoutArguments, a.command): // GET NOOP HTTP/1.1
		problem = a.command + " takes no arguments"
	default:
		return true
	}
	a.strange = a.anon
	a.answer = append(a.answer, tag+" BAD [CLIENTBUG] "+problem+"\r\n"...)
	return false
}

// withoutArguments are commands by which it shows that the first line of a
// connection is none of IMAP.
var withoutArguments = strings.Fields("CAPABILITY NOOP LOGOUT STARTTLS")

// The commands of RFC 9051 sections 6.1 and 6.2, and those of 6.3 and 6.4 with
// the ones that have been left out since RFC 3501 or that programs try.
var (
	beforeLogin = strings.Fields("CAPABILITY NOOP LOGOUT STARTTLS AUTHENTICATE LOGIN")
	afterLogin  = strings.Fields("ENABLE SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST LSUB XLIST NAMESPACE " +
		"STATUS APPEND IDLE CHECK CLOSE UNSELECT EXPUNGE SEARCH FETCH STORE COPY MOVE UID SORT THREAD GETQUOTA GETQUOTAROOT COMPRESS NOTIFY")
)

// refuse answers the command: now, or instead of the library, which has begun
// to read it.
func (a *amends) refuse(answer string, now bool) {
	answer = a.tag + " " + answer + "\r\n"
	if now {
		a.answer = append(a.answer, answer...)
	} else {
		a.instead = answer
	}
}

// answers returns what there is to be said to lines that were held back.
func (a *amends) answers() []byte {
	said := a.answer
	a.answer = nil
	return said
}

// unforeseen is what the library answers where it has not foreseen an error.
// No session returns one; all the others are arguments that cannot be read: a
// name that is not modified UTF-7, an unknown search key, a bad set or date.
const unforeseen = " NO [SERVERBUG] Internal server error\r\n"

// response takes what the library writes and returns what is sent. literal says
// that the library may be asking for one. Only the first thing after a command is
// looked at, and it must be all there is: a message has any text in it.
func (a *amends) response(p []byte, literal bool) []byte {
	if a.readOnly && string(p) == a.tag+" OK [READ-WRITE] SELECT completed\r\n" {
		return []byte(a.tag + " OK [READ-ONLY] SELECT completed\r\n") // RFC 9051 section 6.3.2
	}
	if !a.fresh {
		return p
	}
	if a.instead != "" && bytes.HasPrefix(p, []byte(a.tag+" ")) {
		p, a.instead = []byte(a.instead), ""
	}
	a.fresh = bytes.HasPrefix(p, []byte("+ "))
	a.prompted = a.prompted || a.fresh && !literal
	if string(p) == "+ =\r\n" {
		// The challenge of AUTHENTICATE PLAIN is empty; = stands for that in an
		// initial response only (RFC 4959 section 3).
		return []byte("+ \r\n")
	}
	switch {
	case string(p) != a.tag+unforeseen:
		return p
	case a.command == "AUTHENTICATE": // a response that the mechanism has no use for
		return []byte(a.tag + " NO [AUTHENTICATIONFAILED] Invalid SASL response\r\n")
	}
	return []byte(a.tag + " BAD [CLIENTBUG] Syntax error\r\n")
}

// isAtom reports whether the library takes s for an atom.
func isAtom(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	})
}

func endsInQuotes(s string) bool {
	open := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			open = !open
		case s[i] == '\\' && open:
			i++
		}
	}
	return open
}
