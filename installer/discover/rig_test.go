package discover

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a small internet: a DNS server, and servers on loopback that stand for
// others by IP address and port.
type world struct {
	t       *testing.T
	dns     *net.UDPConn
	roots   *x509.CertPool
	mu      sync.Mutex
	records map[string][]dnsmessage.ResourceBody // by name with its dot
	broken  map[string]bool                      // names that are answered with SERVFAIL
	servers map[string]string                    // where "192.0.2.1:995" really is
	dialing atomic.Int32                         // connections that are being made
	lookups []net.Conn                           // of Go's resolver, which reads on when no one waits any longer
	over    bool
	record  []string // names asked for, addresses connected to, web addresses
}

// nowhere takes connections and never answers.
const nowhere = "192.0.2.99"

func newWorld(t *testing.T) *world {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dns: udp, roots: x509.NewCertPool(), records: map[string][]dnsmessage.ResourceBody{}, broken: map[string]bool{}, servers: map[string]string{}}
	var group sync.WaitGroup
	group.Go(w.answerDNS)
	t.Cleanup(func() {
		_ = udp.Close()
		group.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over = true
		for _, c := range w.lookups {
			_ = c.Close()
		}
	})
	return w
}

func (w *world) answerDNS() {
	buf := make([]byte, 1500)
	for {
		n, from, err := w.dns.ReadFromUDP(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		q := query.Questions[0]
		name := strings.ToLower(q.Name.String())
		w.mu.Lock()
		w.record = append(w.record, name)
		answer := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions}
		if w.broken[name] {
			answer.RCode = dnsmessage.RCodeServerFailure
		} else if len(w.records[name]) == 0 {
			answer.RCode = dnsmessage.RCodeNameError
		}
		for _, body := range w.records[name] {
			r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}, Body: body}
			switch body.(type) {
			case *dnsmessage.AResource:
				r.Header.Type = dnsmessage.TypeA
			case *dnsmessage.MXResource:
				r.Header.Type = dnsmessage.TypeMX
			case *dnsmessage.SRVResource:
				r.Header.Type = dnsmessage.TypeSRV
			}
			if r.Header.Type == q.Type {
				answer.Answers = append(answer.Answers, r)
			}
		}
		w.mu.Unlock()
		if raw, err := answer.Pack(); err == nil {
			_, _ = w.dns.WriteToUDP(raw, from)
		}
	}
}

func (w *world) add(name string, body dnsmessage.ResourceBody) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[name+"."] = append(w.records[name+"."], body)
}

// breakDNS makes the DNS server fail for names.
func (w *world) breakDNS(names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		w.broken[name+"."] = true
	}
}

// seen returns what the world was asked.
func (w *world) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.record)
}

func (w *world) host(name, ip string) {
	w.add(name, &dnsmessage.AResource{A: [4]byte(net.ParseIP(ip).To4())})
}

func (w *world) mx(domain string, preference uint16, host string) {
	w.add(domain, &dnsmessage.MXResource{Pref: preference, MX: dnsmessage.MustNewName(host + ".")})
}

func (w *world) srv(name string, priority, port uint16, host string) {
	w.add(name, &dnsmessage.SRVResource{Priority: priority, Weight: 10, Port: port, Target: dnsmessage.MustNewName(strings.TrimSuffix(host, ".") + ".")})
}

// certificate makes a certificate that the world trusts.
func (w *world) certificate(hosts ...string) *tls.Config {
	ca := testkit.CA(w.t, hosts...)
	pem, err := os.ReadFile(ca.CAFile)
	if err != nil || !w.roots.AppendCertsFromPEM(pem) {
		w.t.Fatalf("authority: %v", err)
	}
	return ca.ServerConfig
}

// at says that what listens at address stands for ip:port.
func (w *world) at(ip string, port int, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[fmt.Sprintf("%s:%d", ip, port)] = address
}

// web serves https as ip:443.
func (w *world) web(ip string, cert *tls.Config, handle http.HandlerFunc) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.record = append(w.record, "https://"+r.Host+r.URL.RequestURI())
		w.mu.Unlock()
		handle(rw, r)
	}))
	server.Config.ErrorLog = nil
	server.TLS = cert.Clone()
	server.StartTLS()
	w.t.Cleanup(server.Close)
	w.at(ip, 443, server.Listener.Addr().String())
}

// line is what a scripted server says, once it was sent what it waits for.
type line struct{ wait, say string }

// talker serves a script as ip:port, encrypted from the start with cert where
// implicit; the word "TLS" in a script begins it.
func (w *world) talker(ip string, port int, cert *tls.Config, implicit bool, script []line) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer func() { _ = conn.Close() }()
				follow(conn, cert, implicit, script)
			})
		}
	})
	w.t.Cleanup(func() {
		_ = listener.Close()
		group.Wait()
	})
	w.at(ip, port, listener.Addr().String())
}

func follow(conn net.Conn, cert *tls.Config, implicit bool, script []line) {
	if implicit {
		conn = tls.Server(conn, cert)
	}
	in := bufio.NewReader(conn)
	for _, l := range script {
		if l.wait != "" {
			got, err := in.ReadString('\n')
			if err != nil || strings.TrimRight(got, "\r\n") != l.wait {
				return
			}
		}
		if l.say == "TLS" {
			conn = tls.Server(conn, cert)
			in = bufio.NewReader(conn)
			continue
		}
		if _, err := conn.Write([]byte(l.say)); err != nil {
			return
		}
	}
	_, _ = in.ReadString('\n') // until the client goes
}

// options are those of a client in this world.
func (w *world) options() Options {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "udp", w.dns.LocalAddr().String())
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil && w.over {
			return nil, errors.Join(net.ErrClosed, c.Close())
		}
		if err == nil {
			w.lookups = append(w.lookups, c)
		}
		return c, err
	}}
	return Options{Resolver: resolver, RootCAs: w.roots, Dial: w.dial}
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.dialing.Add(1)
	defer w.dialing.Add(-1)
	w.mu.Lock()
	w.record = append(w.record, address)
	real, ok := w.servers[address]
	w.mu.Unlock()
	switch {
	case strings.HasPrefix(address, nowhere):
		<-ctx.Done()
		for range 1000 { // so that who does not wait is gone by then
			runtime.Gosched()
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	case !ok:
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	return new(net.Dialer).DialContext(ctx, network, real)
}

// said collects the steps that have an answer, a line each.
func said(o *Options) *[]string {
	var lines []string
	o.Progress = func(s Step) {
		if s.Answer != "" {
			lines = append(lines, s.Asked+": "+s.Answer)
		}
	}
	return &lines
}
