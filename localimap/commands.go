package localimap

import (
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// command is an IMAP command. run reads its arguments, acts, and writes untagged
// responses. It returns what the tagged OK says, "" for the usual; or an error: an
// imap.Error as it is, any other by session.response.
type command struct {
	states state
	needs  imap.Cap // it is refused where that is switched off for the device
	run    func(s *session) (text string, err error)
	// keepsNumbers tells that no EXPUNGE may be sent before its end (RFC 9051
	// section 7.5.1).
	keepsNumbers bool
}

// commands are those of RFC 9051 section 6, and of the extensions that capability.go
// names.
var commands map[string]*command

func init() {
	commands = map[string]*command{
		"CAPABILITY":   {anyState, "", (*session).capability, false},
		"NOOP":         {anyState, "", bare((*session).noop), false},
		"LOGOUT":       {anyState, "", bare((*session).logout), false},
		"ID":           {anyState, imap.CapID, (*session).id, false},
		"STARTTLS":     {anyState, "", bare((*session).startTLS), false},
		"LOGIN":        {anonymous, "", (*session).login, false},
		"AUTHENTICATE": {anonymous, "", (*session).authenticate, false},

		"ENABLE":      {loggedIn, imap.CapEnable, (*session).enable, false},
		"NAMESPACE":   {loggedIn, imap.CapNamespace, bare((*session).namespace), false},
		"SELECT":      {loggedIn, "", func(s *session) (string, error) { return s.open(false) }, false},
		"EXAMINE":     {loggedIn, "", func(s *session) (string, error) { return s.open(true) }, false},
		"CREATE":      {loggedIn, "", (*session).create, false},
		"DELETE":      {loggedIn, "", (*session).delete, false},
		"RENAME":      {loggedIn, "", (*session).rename, false},
		"SUBSCRIBE":   {loggedIn, "", func(s *session) (string, error) { return s.subscribe(true) }, false},
		"UNSUBSCRIBE": {loggedIn, "", func(s *session) (string, error) { return s.subscribe(false) }, false},
		"LIST":        {loggedIn, "", (*session).list, false},
		"XLIST":       {loggedIn, "", (*session).list, false},
		"LSUB":        {loggedIn, "", (*session).list, false},
		"STATUS":      {loggedIn, "", (*session).status, false},
		"APPEND":      {loggedIn, "", (*session).append, false},
		"REPLACE":     {selected, capReplace, func(s *session) (string, error) { return s.replace(false) }, false},
		"UID REPLACE": {selected, capReplace, func(s *session) (string, error) { return s.replace(true) }, false},
		"IDLE":        {loggedIn, imap.CapIdle, (*session).idle, false},
		"NOTIFY":      {loggedIn, imap.CapNotify, (*session).setNotify, false},

		"CHECK":       {selected, "", bare((*session).noop), false},
		"CLOSE":       {selected, "", bare((*session).closeMailbox), false},
		"UNSELECT":    {selected, imap.CapUnselect, bare((*session).unselectMailbox), false},
		"EXPUNGE":     {selected, "", func(s *session) (string, error) { return s.expunge(false) }, false},
		"UID EXPUNGE": {selected, imap.CapUIDPlus, func(s *session) (string, error) { return s.expunge(true) }, false},
		"SEARCH":      {selected, "", func(s *session) (string, error) { return s.search(false) }, true},
		"UID SEARCH":  {selected, "", func(s *session) (string, error) { return s.search(true) }, false},
		"SORT":        {selected, imap.CapSort, func(s *session) (string, error) { return s.sort(false) }, true},
		"UID SORT":    {selected, imap.CapSort, func(s *session) (string, error) { return s.sort(true) }, false},
		"THREAD":      {selected, "", func(s *session) (string, error) { return s.thread(false) }, true},
		"UID THREAD":  {selected, "", func(s *session) (string, error) { return s.thread(true) }, false},
		"FETCH":       {selected, "", func(s *session) (string, error) { return s.fetch(false) }, true},
		"UID FETCH":   {selected, "", func(s *session) (string, error) { return s.fetch(true) }, false},
		"STORE":       {selected, "", func(s *session) (string, error) { return s.storeFlags(false) }, true},
		"UID STORE":   {selected, "", func(s *session) (string, error) { return s.storeFlags(true) }, false},
		"COPY":        {selected, "", func(s *session) (string, error) { return s.copy(false) }, false},
		"UID COPY":    {selected, "", func(s *session) (string, error) { return s.copy(true) }, false},
		"MOVE":        {selected, imap.CapMove, func(s *session) (string, error) { return s.move(false) }, false},
		"UID MOVE":    {selected, imap.CapMove, func(s *session) (string, error) { return s.move(true) }, false},
	}
}

// bare is a command without arguments.
func bare(run func(s *session) (string, error)) func(s *session) (string, error) {
	return func(s *session) (string, error) {
		if err := s.in.End(); err != nil {
			return "", err
		}
		return run(s)
	}
}

// absent are commands of IMAP that are not here: a client that sends one before
// login speaks IMAP.
var absent = strings.Fields("UID GETQUOTA GETQUOTAROOT COMPRESS UNAUTHENTICATE GETACL SETACL")

// known reports whether a name is one of a command of IMAP.
func known(name string) bool {
	if _, ok := commands[name]; ok {
		return true
	}
	first, _, _ := strings.Cut(name, " ")
	for _, a := range absent {
		if a == first {
			return true
		}
	}
	return false
}

// find returns the command of that name where it may be given in this state.
func find(name string, now state) (*command, error) {
	cmd, ok := commands[name]
	switch {
	case !ok && now == anonymous && known(name), ok && cmd.states&now == 0 && now == anonymous:
		return nil, bad(name + " is for clients that have logged in")
	case !ok:
		return nil, bad("Unknown command")
	case cmd.states&now == 0 && cmd.states == selected:
		return nil, bad("No mailbox selected")
	case cmd.states&now == 0:
		return nil, bad(fmt.Sprintf("%s is for clients that have not logged in", name))
	}
	return cmd, nil
}
