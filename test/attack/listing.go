package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	absurdIDs = 1 << 20
	absurdLen = 500 // octets of an id
)

// listing is a POP server that lists absurd ids and has no message.
type listing struct {
	ln     net.Listener
	listed chan string // how the client took the listing
}

func newListing() *listing { return &listing{listed: make(chan string, 1)} }

// port starts the server and returns where it listens.
func (p *listing) port() int {
	if p.ln == nil {
		var err error
		if p.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return 1
		}
		go func() { // ends with the process
			for {
				conn, err := p.ln.Accept()
				if err != nil {
					return
				}
				go p.serve(conn)
			}
		}()
	}
	return p.ln.Addr().(*net.TCPAddr).Port
}

func (p *listing) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r, w := bufio.NewReader(conn), bufio.NewWriterSize(conn, 1<<20)
	say := func(text string) { _, _ = w.WriteString(text + "\r\n"); _ = w.Flush() } // the client may be gone
	say("+OK ready")
	took := ""
	for {
		_ = conn.SetDeadline(time.Now().Add(2 * time.Minute)) // an error shows at the read
		line, err := r.ReadString('\n')
		if err != nil {
			took = "the client ended the session"
			break
		}
		switch verb := strings.ToUpper(strings.Fields(line + " -")[0]); verb {
		case "CAPA":
			say("+OK\r\nUSER\r\nUIDL\r\n.")
		case "STAT":
			say(fmt.Sprintf("+OK %d %d", absurdIDs, absurdIDs))
		case "UIDL", "LIST":
			_, _ = w.WriteString("+OK\r\n")
			pad := strings.Repeat("x", absurdLen-8)
			for i := range absurdIDs {
				if verb == "LIST" {
					_, _ = fmt.Fprintf(w, "%d 100\r\n", i+1)
				} else if _, err := fmt.Fprintf(w, "%d %08d%s\r\n", i+1, i, pad); err != nil {
					break
				}
			}
			say(".")
		case "RETR", "TOP":
			say("-ERR no such message")
			took = "the client took the listing and asked for a message"
		case "QUIT":
			say("+OK")
			took = "the client sent QUIT"
		default:
			say("+OK")
		}
		if took != "" {
			break
		}
	}
	select {
	case p.listed <- took:
	default:
	}
}
