package localimap

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/message"
)

const (
	capThreadReferences     imap.Cap = "THREAD=REFERENCES"     // RFC 5256
	capThreadRefs           imap.Cap = "THREAD=REFS"           // draft-ietf-morg-inthread
	capThreadOrderedSubject imap.Cap = "THREAD=ORDEREDSUBJECT" // RFC 5256
)

var threadAlgorithms = map[imap.Cap]message.ThreadAlgorithm{
	capThreadReferences: message.ThreadReferences, capThreadRefs: message.ThreadRefs, capThreadOrderedSubject: message.ThreadOrderedSubject,
}

// thread answers THREAD and UID THREAD (RFC 5256 section 3).
func (s *session) thread(byUID bool) (string, error) {
	r := s.in
	r.SP()
	name := imap.Cap("THREAD=" + strings.ToUpper(r.Atom()))
	algorithm, known := threadAlgorithms[name]
	if r.Err() == nil && (!known || s.store.lacks(name)) {
		return "", bad("Unknown threading algorithm")
	}
	r.SP()
	charset := r.AString()
	r.SP()
	found, _, err := s.find(charset, returns{}, nil)
	threads := message.NewThreads(algorithm)
	if err == nil {
		err = s.eachHeader(found, true, func(i int, h *message.Header) { threads.Add(s.view.sentAt(i, h), h) })
	}
	if err != nil {
		return "", err
	}
	out := append(s.conn.out, "* THREAD"...)
	if len(found) > 0 {
		out = threads.Append(append(out, ' '), s.view.numbersOf(found, byUID))
	}
	s.conn.out = append(out, "\r\n"...)
	return "", s.conn.alive()
}
