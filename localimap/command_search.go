package localimap

import (
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// returns are what SEARCH or SORT shall tell (RFC 9051 section 6.4.4, RFC 5267
// section 3).
type returns struct {
	extended             bool // RETURN was given: the answer is an ESEARCH response
	min, max, all, count bool
	save                 bool
	page                 *page
}

// search answers SEARCH and UID SEARCH.
func (s *session) search(byUID bool) (string, error) {
	s.in.SP()
	ret := s.readReturns(imap.CapESearch)
	charset := "UTF-8"
	if s.in.TakeWord("CHARSET") {
		if s.utf8 && !s.rev2 {
			s.in.Fail(&imapwire.SyntaxError{Text: "After ENABLE UTF8=ACCEPT, SEARCH takes no charset"}) // RFC 6855 section 3
		}
		s.in.SP()
		charset = s.in.AString()
		s.in.SP()
	}
	found, modseq, err := s.find(charset, ret, nil)
	if err != nil {
		return "", err
	}
	if !ret.extended && !s.rev2 {
		s.tellNumbers("SEARCH", s.view.numbersOf(found, byUID), modseq)
		return "", nil
	}
	ret.all = ret.all || !ret.extended
	s.tellFound(found, byUID, ret, modseq)
	return "", nil
}

// find reads search keys up to the end of the command and returns the indices of
// the messages that match, in the order that sort gives them. What SAVE asks for
// is kept; after a NO it is nothing, after a BAD what it was (RFC 5182 section 2.1).
func (s *session) find(charset string, ret returns, sort func(found []int) error) (found []int, modseq mailstore.ModSeq, err error) {
	defer func() {
		if ret.save && err != nil && !isBad(err) {
			s.view.saved = nil
		}
	}()
	decode := message.Decoder(charset)
	k := &compiler{v: s.view, zone: s.srv.opt.Zone(), in: s.in, decode: decode}
	q := k.keys(0)
	s.needs(k.caps...)
	s.keepsNumbers = s.keepsNumbers || k.numbers // RFC 7162 section 3.2.10.2
	if err := s.in.End(); err != nil {
		return nil, 0, err
	}
	if decode == nil {
		return nil, 0, no("BADCHARSET ("+message.Charsets+")", "The charset is not known")
	}
	s.acted = true
	found, err = (&searching{session: s, v: s.view, q: q}).all()
	if err == nil && sort != nil {
		err = sort(found)
	}
	if err == nil && ret.save {
		s.view.saved = s.view.uidsOf(toSave(found, ret))
	}
	if slices.Contains(k.caps, imap.CapCondStore) {
		for _, i := range toSave(found, ret) {
			modseq = max(modseq, s.view.told.modseqs[i])
		}
	}
	return found, modseq, err
}

// readReturns reads RETURN ( ... ) and a space, where they are next. They need a
// capability.
func (s *session) readReturns(needs imap.Cap) (ret returns) {
	r := s.in
	if !r.TakeWord("RETURN") {
		return ret
	}
	s.needs(needs)
	r.SP()
	simple := map[string]*bool{"MIN": &ret.min, "MAX": &ret.max, "ALL": &ret.all, "COUNT": &ret.count}
	r.List(func() {
		switch option := strings.ToUpper(r.Atom()); {
		case simple[option] != nil:
			*simple[option] = true
		case option == "SAVE":
			s.needs(imap.CapSearchRes)
			ret.save = true
		case option == "PARTIAL" && ret.page == nil:
			s.needs(capPartial)
			ret.page = readPage(r)
		default:
			r.Fail(&imapwire.SyntaxError{Text: "Unknown return option of SEARCH"})
		}
	})
	r.SP()
	if ret.page != nil && ret.all { // RFC 9394 section 3.1
		r.Fail(&imapwire.SyntaxError{Text: "PARTIAL and ALL exclude each other"})
	}
	ret.extended = true
	if !ret.min && !ret.max && !ret.count && !ret.save && ret.page == nil {
		ret.all = true
	}
	return ret
}

// toSave returns what $ will stand for, ascending: with MIN, MAX and PARTIAL only
// what they tell, unless ALL or COUNT is asked for too (RFC 5182 section 2.4, RFC
// 9394 section 3.2).
func toSave(found []int, ret returns) []int {
	some := slices.Clone(found)
	if len(found) > 0 && !ret.all && !ret.count && (ret.min || ret.max || ret.page != nil) {
		some = nil
		if ret.min {
			some = append(some, found[0])
		}
		if ret.max {
			some = append(some, found[len(found)-1])
		}
		if ret.page != nil {
			some = append(some, pageOf(ret.page, found)...)
		}
	}
	slices.Sort(some)
	return slices.Compact(some)
}

// tellNumbers tells what was found as in RFC 3501 section 7.2.5.
func (s *session) tellNumbers(what string, numbers []uint32, modseq mailstore.ModSeq) {
	out := append(append(s.conn.out, "* "...), what...)
	for _, n := range numbers {
		out = strconv.AppendUint(append(out, ' '), uint64(n), 10)
	}
	if modseq > 0 {
		out = append(strconv.AppendUint(append(out, " (MODSEQ "...), uint64(modseq), 10), ')')
	}
	s.conn.out = append(out, "\r\n"...)
}

// tellFound tells what was found in an ESEARCH response (RFC 4731 section 3.1),
// unless SAVE is all that is asked for, with the highest modification sequence in it,
// unless that is 0 (RFC 7162 section 3.1.10).
func (s *session) tellFound(found []int, byUID bool, ret returns, modseq mailstore.ModSeq) {
	if !ret.min && !ret.max && !ret.all && !ret.count && ret.page == nil {
		return
	}
	numbers := s.view.numbersOf(found, byUID)
	out := append(append(append(s.conn.out, `* ESEARCH (TAG "`...), s.tag...), `")`...)
	if byUID {
		out = append(out, " UID"...)
	}
	if n := len(numbers); n > 0 {
		if ret.min {
			out = strconv.AppendUint(append(out, " MIN "...), uint64(numbers[0]), 10)
		}
		if ret.max {
			out = strconv.AppendUint(append(out, " MAX "...), uint64(numbers[n-1]), 10)
		}
		if ret.all {
			out = imapwire.AppendSet(append(out, " ALL "...), numbers)
		}
	}
	if ret.page != nil {
		out = ret.page.append(append(out, " PARTIAL ("...))
		if numbers := pageOf(ret.page, numbers); len(numbers) > 0 {
			out = imapwire.AppendSet(append(out, ' '), numbers)
		} else {
			out = append(out, " NIL"...)
		}
		out = append(out, ')')
	}
	if modseq > 0 {
		out = strconv.AppendUint(append(out, " MODSEQ "...), uint64(modseq), 10)
	}
	if ret.count {
		out = strconv.AppendInt(append(out, " COUNT "...), int64(len(numbers)), 10)
	}
	s.conn.out = append(out, "\r\n"...)
}
