package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/supervise"
	"github.com/popbridge/popbridge/localimap"
)

// An imapServer serves IMAP on one address.
type imapServer struct {
	endpoint
	srv *localimap.Server
}

// An endpoint is one address that mail clients connect to.
type endpoint struct {
	addr string // as configured
	name string // as a source of conditions
	task *supervise.Task
	// open gets what the server needs before mail clients can connect: the
	// certificate, then the port.
	open   func(ctx context.Context) (net.Listener, error)
	run    func(ctx context.Context, ln net.Listener) error
	failed func(error) []health.Condition

	listener net.Listener // opened ahead of serve; may be nil
	bound    atomic.Value // string: where it listens now
}

// at is where it listens now, "" for nowhere.
func (e *endpoint) at() string {
	bound, _ := e.bound.Load().(string)
	return bound
}

// newIMAPServer makes the server of one address.
func (a *Agent) newIMAPServer(addr string, cfg *config.Config) *imapServer {
	o := localimap.Options{Login: a.login, Opened: a.accounts.Wake, Crowded: a.crowded(addr), Zone: a.zone.Load, Alert: a.alerts.alert, Security: securityOf(cfg.IMAP.TLS),
		Log: a.opts.Log.With().Str("component", "imap").Logger()}
	if cfg.IMAP.TLS != config.Off {
		o.TLS = a.tls.server()
	}
	srv := localimap.New(o)
	return &imapServer{endpoint{addr: addr, name: "imap " + addr, open: a.opening("imap", addr, o.TLS), run: srv.Serve, failed: health.IMAP}, srv}
}

// opening opens an address of that table of the config, with the certificate where there
// is TLS.
func (a *Agent) opening(table, addr string, tls *tls.Config) func(context.Context) (net.Listener, error) {
	return func(ctx context.Context) (net.Listener, error) {
		if tls != nil {
			if err := a.tls.ensure(); err != nil {
				return nil, err
			}
		}
		return listen(ctx, table, addr)
	}
}

// localTLS is the certificate for mail clients, made at the first need. It may
// be unusable now and well a minute later: the clock is set, a file comes back.
type localTLS struct {
	dir string

	mu     sync.Mutex
	config *tls.Config // nil until it was made
}

// ensure makes the certificate for the mail clients of this machine.
func (l *localTLS) ensure() error {
	l.mu.Lock()
	made := l.config != nil
	l.mu.Unlock()
	if made {
		return nil
	}
	return l.issue(localtls.Loopback())
}

// issue makes the certificate again if it lacks an address of the scope. Where that
// fails the former is used.
func (l *localTLS) issue(scope localtls.Scope) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	made, _, err := localtls.Ensure(l.dir, scope)
	if err != nil {
		return health.NewLocalTLSError(err)
	}
	l.config = made
	return nil
}

// server is the configuration of a server that is opened once there is a certificate.
func (l *localTLS) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: l.certificate}
}

// certificate is called in handshakes, so after ensure or issue.
func (l *localTLS) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config.GetCertificate(hello)
}

// securityOf is that of the config as the servers have it.
func securityOf(s config.Security) serving.Security {
	switch s {
	case config.Implicit:
		return serving.Implicit
	case config.Off:
		return serving.Off
	default:
		return serving.StartTLS
	}
}

// serve starts the server. When it fails, it is opened again.
func (e *endpoint) serve(a *Agent, group *supervise.Group) {
	ln := e.listener
	e.task = group.Start(func(ctx context.Context) {
		supervise.Run(ctx, func(ctx context.Context) error {
			if ln == nil {
				var err error
				if ln, err = e.open(ctx); err != nil {
					return err
				}
			}
			current := ln
			ln = nil
			e.bound.Store(current.Addr().String())
			defer e.bound.Store("")
			a.health.Report(e.name)
			return e.run(ctx, current)
		}, func(err error) { a.health.Report(e.name, e.failed(err)...) }, nil)
	})
}

// listen opens a port, or says who has it and what to do in that table of the config.
func listen(ctx context.Context, table, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, refused(ctx, table, addr, err)
	}
	return ln, nil
}

func refused(ctx context.Context, table, addr string, err error) error {
	what, format := "the IMAP address "+addr, "set another port in the config, below [%s]: listen = [%q]"
	switch table {
	case "smtp":
		what = "the SMTP address " + addr
	case "web":
		what, format = "the address "+addr+" of the web page", "set another port in the config, below [%s]: listen = %q"
	}
	another := func() string { return fmt.Sprintf(format, table, freeNear(ctx, addr)) }
	if table == "lan-smtp" {
		what = "the SMTP address " + addr
		another = func() string {
			_, port, _ := net.SplitHostPort(freeNear(ctx, addr))
			return "set another port in the config, below [lan]: smtp_port = " + port
		}
	}
	switch {
	case PortBusy(err):
		return fault.New(fault.Conflict,
			what+" is in use by another program",
			"stop that program, or "+another())
	case errors.Is(err, errPortReserved):
		return fault.New(fault.Conflict,
			"the port of "+what+" is reserved by Windows, for Hyper-V, WSL or Docker as a rule",
			another())
	case table != "imap": // the address went, or a port below 1024
		return fault.Wrap(err, fault.Config, what+" cannot be listened on", "it is tried again; "+another())
	default:
		return fault.Wrap(err, fault.Config, what+" cannot be listened on",
			"set another one in the config, below [imap]: listen = [\"127.0.0.1:1143\"]")
	}
}

// freeNear finds a port that is free at this moment, near a busy one if there is one.
func freeNear(ctx context.Context, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	first, _ := strconv.Atoi(port)
	var lc net.ListenConfig
	for p := first + 1; p <= min(first+100, 65535); p++ {
		candidate := net.JoinHostPort(host, strconv.Itoa(p))
		if ln, err := lc.Listen(ctx, "tcp", candidate); err == nil {
			_ = ln.Close()
			return candidate
		}
	}
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return net.JoinHostPort(host, "0")
	}
	defer func() { _ = ln.Close() }() // nothing was accepted
	return ln.Addr().String()
}

// PortBusy tells the error of a port that another socket has from that of one that may not
// be had.
func PortBusy(err error) bool { return errors.Is(err, errPortBusy) }

// addresses returns the configured addresses, and [::1] beside 127.0.0.1 where a
// port is given and this machine has IPv6: localhost is either, and what another
// program listens on there would be given the passwords of mail clients.
func addresses(ctx context.Context, configured []string) []string {
	all := slices.Clone(configured)
	for _, addr := range configured {
		host, port, _ := net.SplitHostPort(addr) // the config was checked
		also := net.JoinHostPort("::1", port)
		if (host == "127.0.0.1" || host == "localhost") && port != "0" && !slices.Contains(all, also) && hasIPv6(ctx) {
			all = append(all, also)
		}
	}
	return all
}

func hasIPv6(ctx context.Context) bool {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp6", "[::1]:0")
	if err == nil {
		_ = ln.Close() // nothing was accepted
	}
	return err == nil
}

// crowded returns what reports that an address has too many connections.
func (a *Agent) crowded(addr string) func(bool) {
	return func(yes bool) {
		var list []health.Condition
		if yes {
			list = []health.Condition{health.IMAPCrowded(addr)}
		}
		a.health.Report("imap clients "+addr, list...)
	}
}
