package localimap

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mirror is a mail program that believes every word it is told, and nothing
// else: its list of messages is made of EXISTS, EXPUNGE and FETCH responses
// alone. What no server may ever say is found here; whether it said all it must
// is for the model to tell.
type mirror struct {
	name    string
	device  string // the password
	rev2    bool
	conn    net.Conn
	r       *bufio.Reader
	tags    int
	idle    string // the tag of an IDLE under way
	leaving bool
	note    func(format string, args ...any)
	fail    func(format string, args ...any)

	readOnly bool
	list     []*entry
	keywords map[string]bool // those in the last FLAGS
	recent   int

	// Of the model: what the client should know.
	box   *mbox // nil: none is selected
	epoch int   // of the SELECT, for \Recent
	high  uint32
	saved []*mail
}

type entry struct {
	uid    uint32 // 0: not told yet
	known  bool   // flags are
	flags  flagSet
	recent bool
	asked  bool // flags is what a silent STORE must have made, not what was told

	mail *mail   // which message it is in the model
	told flagSet // the flags at the last time everything was told
}

// node is a part of a response: a text or a list.
type node struct {
	text string
	list []node
}

// scanner splits a response into nodes.
type scanner struct {
	s  string
	at int
}

func (s *scanner) nodes() (list []node) {
	for s.at < len(s.s) {
		switch c := s.s[s.at]; c {
		case ' ', '~', '\r', '\n': // ~ is before a literal8
			s.at++
		case '(':
			s.at++
			list = append(list, node{list: s.nodes()})
		case ')':
			s.at++
			return list
		case '"':
			list = append(list, node{text: s.quoted()})
		case '{':
			end := s.at + strings.IndexByte(s.s[s.at:], '\n') + 1
			n, _ := strconv.Atoi(strings.Trim(s.s[s.at:end], "{}\r\n")) // the reader has seen it
			list = append(list, node{text: s.s[end : end+n]})
			s.at = end + n
		default:
			list = append(list, node{text: s.atom()})
		}
	}
	return list
}

func (s *scanner) quoted() string {
	var b strings.Builder
	for s.at++; s.at < len(s.s) && s.s[s.at] != '"'; s.at++ {
		if s.s[s.at] == '\\' {
			s.at++
		}
		b.WriteByte(s.s[s.at])
	}
	s.at++
	return b.String()
}

func (s *scanner) atom() string {
	from, depth := s.at, 0
	for ; s.at < len(s.s); s.at++ {
		switch c := s.s[s.at]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth <= 0 && strings.IndexByte(" ()\r\n", c) >= 0, c == '\n':
			return s.s[from:s.at]
		}
	}
	return s.s[from:s.at]
}

var (
	literalAtEnd = regexp.MustCompile(`\{(\d+)\}\r\n$`)
	numbered     = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|RECENT|FETCH)\b`)
)

// reply is everything said in response to one command.
type reply struct {
	status  string // OK, NO or BAD
	code    string // of the tagged response
	lines   []string
	fetches []fetched
	other   [][]node // untagged responses but EXISTS, EXPUNGE, RECENT and FETCH
}

type fetched struct {
	*entry
	items map[string]node
}

func (a *reply) ok() bool { return a.status == "OK" }

// find returns the arguments of the first untagged response of a kind.
func (a *reply) find(kind string) []node {
	for _, n := range a.other {
		if n[1].text == kind {
			return n[2:]
		}
	}
	return nil
}

// codes returns the arguments of a response code in an untagged or tagged OK.
func (a *reply) codes(name string) []string {
	all := []string{a.code}
	for _, n := range a.other {
		if n[1].text == "OK" && len(n) > 2 {
			all = append(all, n[2].text)
		}
	}
	for _, code := range all {
		if words := strings.Fields(strings.Trim(code, "[]")); len(words) > 0 && words[0] == name {
			return words[1:]
		}
	}
	return nil
}

func (c *mirror) connect(addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		c.fail("dial: %v", err)
	}
	c.conn, c.r, c.box, c.list, c.idle, c.leaving = conn, bufio.NewReader(conn), nil, nil, "", false
	c.raw()
	if a := c.command("LOGIN joe " + c.device); !a.ok() {
		c.fail("LOGIN refused")
	}
	if c.rev2 {
		c.command("ENABLE IMAP4rev2")
	}
}

// raw reads one response with its literals.
func (c *mirror) raw() string {
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			c.fail("%s was told nothing more: %v %q", c.name, err, all.String())
		}
		m := literalAtEnd.FindStringSubmatch(line)
		if m == nil {
			c.note(" %s", strings.TrimRight(all.String(), "\r\n"))
			return all.String()
		}
		n, _ := strconv.Atoi(m[1])
		if _, err := io.CopyN(&all, c.r, int64(n)); err != nil {
			c.fail("%s: literal: %v", c.name, err)
		}
	}
}

func (c *mirror) send(text string) {
	if _, err := io.WriteString(c.conn, text+"\r\n"); err != nil {
		c.fail("%s: send: %v", c.name, err)
	}
}

// command sends a line, a literal where there is one, and believes the
// responses.
func (c *mirror) command(line string, literal ...string) *reply {
	c.tags++
	tag := fmt.Sprintf("%s%d", c.name, c.tags)
	if len(literal) > 0 {
		line += fmt.Sprintf(" {%d}", len(literal[0]))
	}
	c.note("%s: %s", c.name, line)
	c.send(tag + " " + line)
	return c.answer(tag, line, literal...)
}

// answer reads up to the tagged response.
func (c *mirror) answer(tag, line string, literal ...string) *reply {
	a := &reply{}
	quiet := slices.Contains([]string{"FETCH", "STORE", "SEARCH"}, strings.Fields(line)[0])
	for {
		raw := c.raw()
		nodes := (&scanner{s: raw}).nodes()
		if len(nodes) < 2 {
			c.fail("%s: %q is no response", line, raw)
		}
		switch nodes[0].text {
		case "+":
			c.send(literal[0])
		case "*":
			a.lines = append(a.lines, raw)
			c.believe(a, raw, nodes, quiet)
		case tag:
			a.status, a.code = nodes[1].text, nodes[2].text
			if !strings.HasPrefix(a.code, "[") {
				a.code = ""
			}
			if strings.Contains(a.code, "SERVERBUG") {
				c.fail("%s: %s", line, raw)
			}
			if a.ok() {
				c.announced(line, c.list...)
			}
			return a
		default:
			c.fail("%s: %q answers something else", line, raw)
		}
	}
}

// believe takes one untagged response.
func (c *mirror) believe(a *reply, raw string, nodes []node, quiet bool) {
	m := numbered.FindStringSubmatch(raw)
	if m == nil {
		a.other = append(a.other, nodes)
		switch nodes[1].text {
		case "FLAGS":
			c.keywords = make(map[string]bool)
			for _, n := range nodes[2].list {
				c.keywords[strings.ToLower(n.text)] = true
			}
		case "BYE":
			if c.leaving {
				return
			}
			c.fail("%s was thrown out: %s", c.name, raw)
		}
		return
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || m[2] != "EXISTS" && m[2] != "RECENT" && (n < 1 || n > len(c.list)) {
		c.fail("%s knows %d messages and got %s", c.name, len(c.list), raw)
	}
	switch m[2] {
	case "EXISTS":
		if n < len(c.list) {
			c.fail("%s knows %d messages and got %s", c.name, len(c.list), raw)
		}
		for len(c.list) < n {
			c.list = append(c.list, &entry{})
		}
	case "RECENT":
		if c.recent = n; n > len(c.list) || c.rev2 {
			c.fail("%s knows %d messages and got %s", c.name, len(c.list), raw)
		}
	case "EXPUNGE":
		if quiet {
			c.fail("%s got during FETCH, STORE or SEARCH: %s", c.name, raw)
		}
		c.list = slices.Delete(c.list, n-1, n)
	case "FETCH":
		f := fetched{c.list[n-1], make(map[string]node)}
		items := nodes[3].list
		for i := 0; i+1 < len(items); i += 2 {
			f.items[items[i].text] = items[i+1]
		}
		a.fetches = append(a.fetches, f)
		c.learn(f, raw)
		c.announced(raw, f.entry)
	}
}

// learn takes UID and FLAGS of a FETCH response.
func (c *mirror) learn(f fetched, raw string) {
	if id, ok := f.items["UID"]; ok {
		uid, err := strconv.ParseUint(id.text, 10, 32)
		if err != nil || uid == 0 || f.uid != 0 && f.uid != uint32(uid) {
			c.fail("%s knew the message as UID %d: %s", c.name, f.uid, raw)
		}
		f.uid = uint32(uid)
		at := slices.Index(c.list, f.entry)
		for i, e := range c.list {
			if e.uid != 0 && (i < at && e.uid >= f.uid || i > at && e.uid <= f.uid) {
				c.fail("%s: UIDs do not ascend: number %d is %d: %s", c.name, i+1, e.uid, raw)
			}
		}
	}
	if flags, ok := f.items["FLAGS"]; ok {
		names := make([]string, len(flags.list))
		for i, n := range flags.list {
			names[i] = n.text
		}
		f.flags, f.known, f.asked = flagsOf(names...), true, false
		f.recent = slices.Contains(names, `\Recent`)
		if f.recent && c.rev2 {
			c.fail("IMAP4rev2 has no \\Recent: %s", raw)
		}
	}
}

// announced: no keyword is used that FLAGS has not announced.
func (c *mirror) announced(line string, list ...*entry) {
	for _, e := range list {
		for _, name := range e.flags.names() {
			if name[0] != '\\' && !e.asked && !c.keywords[name] {
				c.fail("%s: %s: UID %d has the keyword %s, FLAGS told %v", c.name, line, e.uid, name, c.keywords)
			}
		}
	}
}

// store is STORE; after a silent one the client believes what it asked for,
// unless it is told something else.
func (c *mirror) store(line, op string, given flagSet, silent bool, indices []int) *reply {
	before := make(map[*entry]entry)
	for _, i := range indices {
		before[c.list[i]] = *c.list[i]
		c.list[i].known = false
	}
	a := c.command(line)
	for e, old := range before {
		switch {
		case e.known: // told
		case !a.ok():
			e.flags, e.known, e.asked = old.flags, old.known, old.asked
		case silent && (old.known || op == ""):
			e.flags, e.known, e.asked = old.flags.apply(op, given), true, true
		}
	}
	return a
}

func (c *mirror) startIdle() {
	c.tags++
	c.idle = fmt.Sprintf("%s%d", c.name, c.tags)
	c.note("%s: IDLE", c.name)
	c.send(c.idle + " IDLE")
	if got := c.raw(); !strings.HasPrefix(got, "+") {
		c.fail("IDLE: %s", got)
	}
}

// await reads what an IDLE brings until the client knows enough.
func (c *mirror) await(enough func() bool) {
	a := &reply{}
	for !enough() {
		raw := c.raw()
		c.believe(a, raw, (&scanner{s: raw}).nodes(), false)
	}
}

func (c *mirror) done() *reply {
	c.note("%s> DONE", c.name)
	c.send("DONE")
	tag := c.idle
	c.idle = ""
	return c.answer(tag, "IDLE")
}

func (c *mirror) logout() *reply {
	c.leaving = true
	return c.command("LOGOUT")
}
