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

// thread answers THREAD and UID THREAD (RFC 5256 section 3).
func (s *session) thread(byUID bool) (string, error) {
	r := s.in
	r.SP()
	algorithm := imap.Cap("THREAD=" + strings.ToUpper(r.Atom()))
	t := newThreading()
	var finish func() []int32
	switch algorithm {
	case capThreadReferences:
		finish = t.references
	case capThreadRefs:
		finish = t.refs
	case capThreadOrderedSubject:
		finish = t.orderedSubject
	}
	if r.Err() == nil && (finish == nil || s.store.lacks(algorithm)) {
		return "", bad("Unknown threading algorithm")
	}
	r.SP()
	charset := r.AString()
	r.SP()
	found, err := s.find(charset, returns{}, nil)
	if err == nil {
		err = s.eachHeader(found, true, func(i int, h *message.Header) {
			t.add(s.view.sentAt(i, h), h, algorithm)
		})
	}
	if err != nil {
		return "", err
	}
	s.conn.out = append(s.conn.out, "* THREAD"...)
	if roots := finish(); len(roots) > 0 {
		s.conn.out = append(s.conn.out, ' ')
		s.conn.out = t.appendThreads(s.conn.out, roots, s.view.numbersOf(found, byUID))
	}
	s.conn.out = append(s.conn.out, "\r\n"...)
	return "", s.conn.alive()
}
