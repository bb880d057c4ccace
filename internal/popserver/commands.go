package popserver

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

func (s *session) command(verb, arg string) {
	switch verb {
	case "CAPA":
		s.capa()
	case "NOOP":
		s.ok("")
	case "QUIT":
		s.quit()
	default:
		if s.loggedIn {
			s.transaction(verb, arg)
		} else {
			s.authorization(verb, arg)
		}
	}
}

// authorization is RFC 1939 section 4.
func (s *session) authorization(verb, arg string) {
	switch {
	case verb == "STLS":
		s.stls()
	case verb == "USER" && arg != "":
		s.user = arg
		s.ok("and the password?")
	case verb == "PASS" && s.user != "":
		s.login(s.user, arg)
		s.user = ""
	case verb == "AUTH":
		s.authPlain(arg)
	default:
		s.err("unknown command, or log in first")
	}
}

// transaction is RFC 1939 section 5.
func (s *session) transaction(verb, arg string) {
	switch verb {
	case "STAT":
		count, size := s.totals()
		s.ok("%d %d", count, size)
	case "LIST":
		s.listing(arg, func(m *message) any { return len(m.raw) })
	case "UIDL":
		s.listing(arg, func(m *message) any { return m.uidl })
	case "RETR":
		if m := s.find(arg); m != nil {
			s.ok("%d octets", len(m.raw))
			s.multiline(m.raw)
		}
	case "TOP":
		s.top(arg)
	case "DELE":
		if m := s.find(arg); m != nil {
			s.deleted[m] = true
			s.ok("marked")
		}
	case "RSET":
		clear(s.deleted)
		s.ok("nothing is marked")
	default:
		s.err("unknown command")
	}
}

func (s *session) totals() (count, size int) {
	for _, m := range s.drop {
		if !s.deleted[m] {
			count++
			size += len(m.raw)
		}
	}
	return count, size
}

func (s *session) listing(arg string, value func(*message) any) {
	if arg != "" {
		if m := s.find(arg); m != nil {
			s.ok("%s %v", strings.TrimSpace(arg), value(m))
		}
		return
	}
	s.ok("listing follows")
	for i, m := range s.drop {
		if !s.deleted[m] {
			fmt.Fprintf(s.w, "%d %v\r\n", i+1, value(m))
		}
	}
	fmt.Fprint(s.w, ".\r\n")
}

// find returns the message of a number, or answers that there is none.
func (s *session) find(arg string) *message {
	n, err := strconv.Atoi(strings.TrimSpace(arg))
	if err != nil || n < 1 || n > len(s.drop) || s.deleted[s.drop[n-1]] {
		s.err("no such message")
		return nil
	}
	return s.drop[n-1]
}

// top sends the header and as many lines of the body (RFC 1939 section 7).
func (s *session) top(arg string) {
	number, count, _ := strings.Cut(arg, " ")
	lines, err := strconv.Atoi(count)
	if err != nil || lines < 0 {
		s.err("TOP takes a message and a number of lines")
		return
	}
	m := s.find(number)
	if m == nil {
		return
	}
	end := len(m.raw)
	if i := bytes.Index(m.raw, []byte("\r\n\r\n")); i >= 0 {
		for end = i + 4; lines > 0 && end < len(m.raw); lines-- {
			end += bytes.IndexByte(m.raw[end:], '\n') + 1 // there is one: messages end with CRLF
		}
	}
	s.ok("top of message follows")
	s.multiline(m.raw[:end])
}

// multiline sends what ends with CRLF, or with LF inside a message, with its
// dots stuffed (RFC 1939 section 3).
func (s *session) multiline(text []byte) {
	begin := true
	for len(text) > 0 {
		if begin && text[0] == '.' {
			_ = s.w.WriteByte('.')
		}
		end := len(text)
		if i := bytes.Index(text, []byte("\r\n")); i >= 0 {
			end = i + 2
		}
		_, _ = s.w.Write(text[:end])
		begin = bytes.HasSuffix(text[:end], []byte("\r\n"))
		text = text[end:]
	}
	if !begin {
		_, _ = s.w.WriteString("\r\n")
	}
	_, _ = s.w.WriteString(".\r\n")
}

// quit is the UPDATE state (RFC 1939 section 6).
func (s *session) quit() {
	if s.loggedIn {
		s.server.remove(s.deleted)
		s.server.opts.Log.Debug().Int("deleted", len(s.deleted)).Msg("session ended")
	}
	s.logout() // before the answer: the client may come back at once
	s.ok("bye")
	s.ended = true
}
