package localimap

import "strings"

// idle tells what has changed and goes on telling until the client sends DONE (RFC
// 9051 section 6.3.13), of what NOTIFY asks for where there was one (RFC 5465 section
// 4).
func (s *session) idle() (string, error) {
	if err := s.in.End(); err != nil {
		return "", err
	}
	s.acted = true
	s.conn.line("+ idling")
	if s.listen(true) != nil {
		return "", errAnswered
	}
	line, err := s.in.Line()
	if err == nil && !strings.EqualFold(strings.TrimSpace(line), "DONE") {
		err = bad("Expected DONE")
	}
	return "", err
}
