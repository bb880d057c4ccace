package submission

import (
	"regexp"
	"strings"
)

// What a mail program asks to be told of a delivery (RFC 3461 section 4), by the commands that
// have it. It goes to the provider as it is; where that has no DSN it is left out.
const xtext = `([!-*,-<>-~]|\+[0-9A-F]{2})+`

var dsnForms = map[string]struct {
	command string
	form    *regexp.Regexp
}{
	"RET":    {"MAIL", regexp.MustCompile(`^(?i:FULL|HDRS)$`)},
	"ENVID":  {"MAIL", regexp.MustCompile(`^` + xtext + `$`)},
	"NOTIFY": {"RCPT", regexp.MustCompile(`^(?i:NEVER|(SUCCESS|FAILURE|DELAY)(,(SUCCESS|FAILURE|DELAY))*)$`)},
	"ORCPT":  {"RCPT", regexp.MustCompile(`^[A-Za-z0-9-]+;` + xtext + `$`)},
}

// maxDSN bounds a value, in bytes: RFC 3461 section 5 has ENVID with 100 and ORCPT with 500.
const maxDSN = 500

// isDSN reports whether a parameter of a command is one of these, and there is an account that
// can pass it on.
func (s *session) isDSN(name, command string) bool {
	return dsnForms[name].command == command && s.srv.opt.DSN()
}

// ask takes a parameter of MAIL, where to is "", or of RCPT.
func (m *envelope) ask(to, name, value string) reply {
	if len(value) > maxDSN || !dsnForms[name].form.MatchString(value) || strings.Contains(" "+m.dsn[to], " "+name+"=") {
		return reply{code: 501, enhanced: "5.5.4", text: "Not a value of " + name + ", or given twice"}
	}
	m.dsn[to] = strings.TrimPrefix(m.dsn[to]+" "+name+"="+value, " ")
	return reply{}
}
