package conformance

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// run is a script at work on one server.
type run struct {
	ctx      context.Context
	script   *script
	server   *server
	bound    bindings
	sessions map[string]*session
	sent     int // commands
}

// execute runs s and returns how many commands it has sent.
func execute(ctx context.Context, s *script, srv *server) (sent int, err error) {
	r := &run{ctx: ctx, script: s, server: srv, sessions: make(map[string]*session), bound: bindings{
		"user": srv.user, "password": srv.password,
		"plain": base64.StdEncoding.EncodeToString([]byte("\x00" + srv.user + "\x00" + srv.password)),
	}}
	defer func() {
		for _, p := range r.sessions {
			_ = p.conn.Close() // closed by the server already
		}
	}()
	var wrong []error
	for _, st := range s.steps {
		err := r.step(st)
		if _, ok := errors.AsType[cannot](err); ok {
			if wrong = append(wrong, r.finish()); errors.Join(wrong...) == nil {
				return r.sent, err
			}
			return r.sent, errors.Join(wrong...)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s.txt:%d: %w", s.name, st.line, err))
			if _, ok := errors.AsType[wrongAnswer](err); !ok {
				return r.sent, errors.Join(wrong...)
			}
		}
	}
	return r.sent, errors.Join(append(wrong, r.finish())...)
}

// wrongAnswer is an answer that is not the expected one. The script can go on,
// so that one run shows all of them.
type wrongAnswer string

func (w wrongAnswer) Error() string { return string(w) }

func (r *run) step(st step) error {
	switch st.verb {
	case deliver:
		return r.deliver(st.args)
	case needs:
		return r.needs(st.args)
	case without:
		return r.without(st.args)
	case notFor:
		if st.args[0] == r.server.name {
			return cannot(strings.Join(st.args, " "))
		}
		return nil
	case pause:
		time.Sleep(r.server.pause)
		return nil
	case command, raw, wait, connect, startTLS:
	}
	p, err := r.session(st)
	if err != nil {
		return err
	}
	var got []string // what came before a literal could be sent
	if p.ended {
		return r.answers(p, st.blocks, []string{ended})
	}
	switch st.verb {
	case command:
		r.sent++
		p.commands++
		p.tag = fmt.Sprintf("%s%d", st.session, p.commands)
		got, err = r.send(p, p.tag+" "+st.text+"\r\n")
	case raw:
		got, err = r.send(p, st.text)
	case startTLS:
		if err := p.startTLS(r.ctx, r.server.tls); err != nil {
			got = []string{ended}
			p.ended = true
		}
	case connect, wait, deliver, needs, without, notFor, pause:
	}
	if err != nil {
		return err
	}
	return r.answers(p, st.blocks, got)
}

// cannot is why the rest of a script is not for this server.
type cannot string

func (c cannot) Error() string { return string(c) }

// needs ends the script where a capability is not announced after login.
func (r *run) needs(names []string) error {
	announced, err := r.capabilities()
	if err != nil {
		return err
	}
	for _, name := range names {
		switch {
		case slices.Contains(announced, name):
		case r.server.name == "popbridge":
			return errors.New(name + " is not announced")
		default:
			return cannot(name + " is not announced")
		}
	}
	return nil
}

func (r *run) capabilities() (names []string, err error) {
	p, err := r.session(courier)
	if err != nil {
		return nil, err
	}
	if err := p.write("needs CAPABILITY\r\n"); err != nil {
		return nil, err
	}
	for {
		line := p.read()
		if strings.HasPrefix(line, "needs OK") {
			return names, nil
		}
		list, ok := strings.CutPrefix(line, "* CAPABILITY ")
		if !ok {
			return nil, fmt.Errorf("CAPABILITY: %q", line)
		}
		names = strings.Fields(list)
	}
}

// without switches capabilities off for the sessions that log in from now on.
func (r *run) without(names []string) error {
	if r.server.without == nil {
		return cannot("capabilities cannot be switched off")
	}
	r.server.without(names)
	return nil
}

// courier is the session that acts for the script itself.
var courier = step{session: "Courier", verb: wait}

// session returns the session of a step, connecting it where it is new.
func (r *run) session(st step) (*session, error) {
	if p, ok := r.sessions[st.session]; ok {
		if st.verb != connect {
			return p, nil
		}
		if err := p.logout(); err != nil { // a new connection takes its place
			return nil, err
		}
	}
	conn, err := r.server.dial(slices.Contains(st.args, "starttls"))
	if err != nil {
		return nil, err
	}
	p := newSession(conn)
	r.sessions[st.session] = p
	if st.verb == connect {
		return p, nil
	}
	if greeting := p.read(); !strings.HasPrefix(greeting, "* OK") {
		return nil, fmt.Errorf("greeting: %q", greeting)
	}
	if st.session >= "X" {
		return p, nil
	}
	return p, p.do("LOGIN " + r.server.user + " " + r.server.password)
}

var fileLiteral = regexp.MustCompile(`\{([\w-]+\.[\w.]+)(\+?)\}\r\n$`)

// send sends text with its placeholders filled in, and the literal it ends with.
func (r *run) send(p *session, text string) (got []string, err error) {
	for name, value := range r.bound {
		text = strings.ReplaceAll(text, "<"+name+">", value)
	}
	m := fileLiteral.FindStringSubmatch(text)
	if m == nil {
		return nil, p.write(text)
	}
	body, ok := r.script.files[m[1]]
	if !ok {
		return nil, fmt.Errorf("no file %s", m[1])
	}
	text = strings.TrimSuffix(text, m[0]) + fmt.Sprintf("{%d%s}\r\n", len(body), m[2])
	if m[2] == "+" {
		return nil, p.write(text + body + "\r\n")
	}
	if err := p.write(text); err != nil {
		return nil, err
	}
	for {
		switch line := p.read(); {
		case strings.HasPrefix(line, "+"):
			return got, p.write(body + "\r\n")
		default:
			if got = append(got, line); p.ends(line) {
				return got, nil // refused
			}
		}
	}
}

// deliver appends messages by a session of its own, which selects nothing, so
// that they are recent to whoever comes next.
func (r *run) deliver(words []string) error {
	p, err := r.session(courier)
	if err != nil {
		return err
	}
	mailbox, words := words[0], words[1:]
	flags := ""
	if words[0][0] == '\\' || words[0][0] == '$' {
		flags, words = strings.ReplaceAll(words[0], ",", " "), words[1:]
	}
	at := time.Date(2026, 1, 12, 3, 4, 5, 0, time.UTC)
	for _, name := range words {
		p.tag = "deliver"
		line := fmt.Sprintf("deliver APPEND %s (%s) \"%s\" {%s}\r\n", mailbox, flags, at.Format("02-Jan-2006 15:04:05 -0700"), name)
		got, err := r.send(p, line)
		if err != nil {
			return err
		}
		if len(got) == 0 {
			got = append(got, p.read())
		}
		if last := got[len(got)-1]; !strings.HasPrefix(last, "deliver OK") {
			return fmt.Errorf("deliver %s: %q", name, last)
		}
		at = at.AddDate(0, 0, 1)
	}
	return nil
}

// answers reads what the server answers and compares it with what it should.
func (r *run) answers(p *session, blocks []block, got []string) error {
	expected := blocks[0]
	for _, b := range blocks[1:] {
		if b.server == r.server.name {
			expected = b
		}
	}
	for {
		bound, ok := r.match(p, expected.items, got)
		if ok {
			r.bound = bound
			break
		}
		if p.enough(expected.items, got) {
			return mismatch(expected, got)
		}
		got = append(got, p.read())
	}
	if expected.server != "" {
		if _, same := r.match(p, blocks[0].items, got); same {
			return wrongAnswer(fmt.Sprintf("the mark !%s is not true: the answer is what the RFC wants\n%s", expected.server, strings.Join(got, "\n")))
		}
	}
	return nil
}

// enough reports whether reading on is of no use: the last response that items
// can have is there, or as many as they are.
func (p *session) enough(items []item, got []string) bool {
	if len(items) == 0 {
		return true
	}
	if len(got) == 0 {
		return false
	}
	last, end := got[len(got)-1], items[len(items)-1].want
	if last == ended || strings.HasPrefix(last, failure) || len(got) >= 5000 {
		return true
	}
	if isTagged(p.tag, last) {
		return end != ended
	}
	most := 0
	for _, it := range items {
		if it.any || end == ended || result.MatchString(end) {
			return false
		}
		most += max(1, len(it.group))
	}
	return len(got) >= most
}

func mismatch(b block, got []string) error {
	var text strings.Builder
	text.WriteString("got:\n")
	for _, g := range got {
		fmt.Fprintf(&text, "\t%s\n", strings.ReplaceAll(g, "\r\n", "\n\t"))
	}
	text.WriteString("want:\n")
	var write func(items []item, indent string)
	write = func(items []item, indent string) {
		for _, it := range items {
			switch {
			case it.any:
				text.WriteString(indent + "…\n")
			case it.regex != nil:
				fmt.Fprintf(&text, "%s/%s/\n", indent, it.regex)
			case it.group != nil:
				write(it.group, indent+"  ")
			default:
				fmt.Fprintf(&text, "%s%s\n", indent, strings.ReplaceAll(it.want, "\r\n", "\n\t"))
			}
		}
	}
	write(b.items, "\t")
	return wrongAnswer(text.String())
}

// match compares all of got with items.
func (r *run) match(p *session, items []item, got []string) (bindings, bool) {
	return matchItems(p.tag, items, got, r.bound)
}

func matchItems(tag string, items []item, got []string, bound bindings) (bindings, bool) {
	if len(items) == 0 {
		return bound, len(got) == 0
	}
	it, rest := items[0], items[1:]
	switch {
	case it.any:
		for n := 0; n <= len(got); n++ {
			if after, ok := matchItems(tag, rest, got[n:], bound); ok {
				return after, true
			}
		}
		return nil, false
	case it.group != nil:
		n, after, ok := matchGroup(tag, it.group, got, bound)
		if !ok {
			return nil, false
		}
		return matchItems(tag, rest, got[n:], after)
	}
	if len(got) > 0 {
		if after, ok := matchItem(tag, it, got[0], bound); ok {
			if all, ok := matchItems(tag, rest, got[1:], after); ok {
				return all, true
			}
		}
	}
	if it.optional {
		return matchItems(tag, rest, got, bound)
	}
	return nil, false
}

// matchGroup compares as many responses as belong to the group.
func matchGroup(tag string, group []item, got []string, bound bindings) (n int, after bindings, ok bool) {
	left := slices.Clone(group)
	open := slices.ContainsFunc(left, func(it item) bool { return it.any })
	left = slices.DeleteFunc(left, func(it item) bool { return it.any })
	slices.SortStableFunc(left, func(a, b item) int { return a.loose() - b.loose() })
	for ; n < len(got) && !isTagged(tag, got[n]); n++ {
		i := slices.IndexFunc(left, func(it item) bool {
			after, ok := matchItem(tag, it, got[n], bound)
			if ok {
				bound = after
			}
			return ok
		})
		if i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else if !open {
			break
		}
	}
	left = slices.DeleteFunc(left, func(it item) bool { return it.optional })
	return n, bound, len(left) == 0
}

func (it item) loose() int {
	if it.regex != nil || placeholder.MatchString(it.want) {
		return 1
	}
	return 0
}

func isTagged(tag, response string) bool { return strings.HasPrefix(response, tag+" ") }

var result = regexp.MustCompile(`^(OK|NO|BAD)\b`)

func matchItem(tag string, it item, got string, bound bindings) (bindings, bool) {
	if it.regex != nil {
		return bound, it.regex.MatchString(got)
	}
	want := it.want
	if result.MatchString(want) {
		want = tag + " " + want
	}
	if want == ended || got == ended {
		return bound, want == got
	}
	m := matcher{bound: maps.Clone(bound)}
	if !m.response(want, got) {
		return nil, false
	}
	return m.bound, true
}

// finish logs out everywhere.
func (r *run) finish() error {
	for _, name := range slices.Sorted(maps.Keys(r.sessions)) {
		if err := r.sessions[name].logout(); err != nil {
			return fmt.Errorf("%s.txt: %s: %w", r.script.name, name, err)
		}
	}
	return nil
}
