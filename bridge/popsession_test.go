package bridge

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// popSession is one connection.
type popSession struct {
	s       *popServer
	conn    net.Conn
	w       *bufio.Writer
	trouble trouble
	mailbox []*popMessage
	deleted map[*popMessage]bool
	retrs   int
	had     map[int]bool // retrieved in this session
	token   bool         // the next line is one
}

func (s *popServer) serve(conn net.Conn) {
	p := &popSession{s: s, conn: conn, w: bufio.NewWriter(conn), deleted: make(map[*popMessage]bool), had: make(map[int]bool)}
	leave := sync.OnceFunc(func() { s.change(func() { s.active--; delete(s.conns, conn) }) })
	defer func() {
		_ = conn.Close()
		leave()
	}()
	p.line("+OK ready")
	r := bufio.NewReader(conn)
	for {
		if r.Buffered() == 0 {
			_ = p.w.Flush()
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		command, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		if s.said != nil {
			s.said(strings.ToUpper(command))
		}
		if !p.handle(strings.ToUpper(command), arg) {
			leave() // before a client hears it, who may come again at once
			_ = p.w.Flush()
			return
		}
	}
}

func (p *popSession) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\r\n", args...) }

func (p *popSession) handle(command, arg string) (open bool) {
	p.s.mu.Lock()
	hangUp := command != "" && command == p.s.hangUp
	p.s.mu.Unlock()
	if hangUp {
		return false
	}
	if n, err := strconv.Atoi(arg); err == nil && (command == "UIDL" || command == "LIST") {
		if p.s.one != nil {
			return p.s.one(p, command, n)
		}
		return p.listed(command, n)
	}
	if p.token {
		p.token = false
		p.login(p.s.password) // any token, but where the server refuses all
		return true
	}
	switch command {
	case "CAPA":
		p.line("+OK")
		for _, c := range p.s.caps {
			p.line("%s", c)
		}
		p.line(".")
	case "USER":
		p.line("+OK")
	case "PASS":
		p.login(arg)
	case "AUTH":
		if p.token = arg == "XOAUTH2"; p.token {
			p.line("+ ")
		} else {
			p.line("-ERR unknown command")
		}
	case "STAT":
		p.line("+OK %d 0", len(p.mailbox))
	case "LIST":
		p.line("+OK")
		for i, m := range p.mailbox[:len(p.mailbox)-p.trouble.short] {
			p.line("%d %d", i+1, m.listed())
		}
		p.line(".")
	case "UIDL":
		p.uidl()
	case "RETR":
		return p.retr(arg)
	case "DELE":
		n, _ := strconv.Atoi(arg)
		if refuse := p.s.refuseDele; refuse != nil && refuse(p.had[n]) {
			p.line("-ERR not you")
			return true
		}
		p.deleted[p.mailbox[n-1]] = true
		p.s.change(func() { p.s.deles++ })
		p.line("+OK")
	case "QUIT":
		return p.quit()
	default:
		p.line("-ERR unknown command")
	}
	return true
}

// listed answers what is asked about one message.
func (p *popSession) listed(command string, n int) (open bool) {
	switch m := p.mailbox[n-1]; {
	case command == "LIST":
		p.line("+OK %d %d", n, m.listed())
	case p.trouble.noUIDL:
		p.line("-ERR unknown command")
	case p.s.numbered:
		p.line("+OK %d %d", n, n)
	default:
		p.line("+OK %d %s", n, m.uidl)
	}
	return true
}

func (m *popMessage) listed() int64 {
	if m.size != 0 {
		return m.size
	}
	return int64(len(m.data))
}

func (p *popSession) login(password string) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.refuse != "" {
		p.line("%s", p.s.refuse)
		return
	}
	if password != p.s.password {
		p.line("-ERR [AUTH] wrong password")
		return
	}
	p.trouble = p.s.trouble
	p.mailbox = append([]*popMessage(nil), p.s.messages...)
	if p.s.page > 0 {
		p.mailbox = p.mailbox[:min(len(p.mailbox), p.s.page)]
	}
	p.line("+OK")
}

func (p *popSession) uidl() {
	if p.trouble.noUIDL {
		p.line("-ERR unknown command")
		return
	}
	p.line("+OK")
	for i, m := range p.mailbox[:len(p.mailbox)-p.trouble.short] {
		if p.trouble.hide == 0 || (i+1)%p.trouble.hide != 0 {
			id := m.uidl
			if p.s.numbered {
				id = strconv.Itoa(i + 1)
			}
			p.line("%d %s", i+1, id)
		}
	}
	p.line(".")
}

func (p *popSession) retr(arg string) (open bool) {
	num, _ := strconv.Atoi(arg)
	m := p.mailbox[num-1]
	p.retrs++
	p.had[num] = true
	p.s.change(func() { p.s.retrs[m.uidl]++; p.s.order = append(p.s.order, m.uidl) })
	if p.trouble.retr != nil {
		_ = p.w.Flush()
		p.trouble.retr(p.retrs)
	}
	switch {
	case p.trouble.limit > 0 && p.retrs > p.trouble.limit:
		p.line("%s", p.trouble.limitText)
		return true
	case m.err != "":
		p.line("%s", m.err)
		return true
	}
	p.deleted[m] = p.deleted[m] || p.trouble.expire
	var answer bytes.Buffer
	answer.WriteString("+OK\r\n")
	switch {
	case m.void:
	case p.trouble.unstuffed:
		answer.Write(bytes.ReplaceAll(stuff(m.data), []byte("\r\n..\r\n"), []byte("\r\n.\r\n")))
	default:
		answer.Write(stuff(m.data))
	}
	answer.WriteString(".\r\n")
	after := answer.Len()
	if m.cut {
		after /= 2
	}
	if p.retrs == p.trouble.cutRetr {
		after = min(p.trouble.cutAfter, answer.Len()-1)
	}
	_, _ = p.w.Write(answer.Bytes()[:after])
	return after == answer.Len()
}

func stuff(data []byte) []byte {
	out := bytes.ReplaceAll(data, []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(out, []byte(".")) {
		out = append([]byte("."), out...)
	}
	if !bytes.HasSuffix(out, []byte("\r\n")) {
		out = append(out, "\r\n"...)
	}
	return out
}

func (p *popSession) quit() (open bool) {
	if q := p.trouble.quit; q == quitWell || q == quitSilent {
		p.s.change(func() {
			left := p.s.messages[:0:0]
			for _, m := range p.s.messages {
				if !p.deleted[m] {
					left = append(left, m)
				}
			}
			p.s.messages = left
		})
	}
	switch p.trouble.quit {
	case quitWell, quitLies:
		p.line("+OK")
	case quitERR:
		p.line("-ERR some messages were not removed")
	}
	return false
}
