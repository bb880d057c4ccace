package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/installer/trust"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// pageTimeout is for reading a request of a phone, and for an answer to it.
const pageTimeout = 10 * time.Second

// Pair serves the page for one device, in place of the one before. It is on the first
// address of the local network that is served, at the next port, or any where another
// program has that.
func (l *lanAccess) Pair(ctx context.Context, ask operations.Pair) (operations.Pairing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.group == nil || l.group.Context.Err() != nil:
		return operations.Pairing{}, fault.New(fault.Temporary, "no agent is running, so there is no page for the phone yet",
			"start it, then ask for the page: "+l.agent.users.Command("device set "+fault.ShellQuote(ask.Device)+" --lan"))
	case len(l.addrs) == 0:
		return operations.Pairing{}, fault.New(fault.Temporary, "the local network is not served at the moment, so there is no page for the phone",
			"`"+l.agent.users.Command("status")+"` says why")
	}
	addr := l.addrs[0]
	ca, err := trust.Read(datadir.LANAuthorityFile(l.agent.first.DataDir))
	if err != nil {
		return operations.Pairing{}, fault.Wrap(err, fault.Corrupt, "the authority of the local network cannot be read", "restore the folder tls from a backup")
	}
	shown, err := trust.Read(datadir.ServerFile(datadir.LANAuthorityFile(l.agent.first.DataDir)))
	if err != nil {
		return operations.Pairing{}, fault.Wrap(err, fault.Corrupt, "the certificate of the local network cannot be read", "start popbridge again: it makes another one")
	}
	l.page.Stop() // which has the port
	ln, err := listenNear(ctx, addr)
	if err != nil {
		return operations.Pairing{}, err
	}
	mailbox := clientfiles.Mailbox{Device: ask.Device, User: ask.User, Host: addr.Addr().String(), Port: int(addr.Port()),
		TLS: discover.Implicit, Authority: ca.Raw, Identities: ask.Identities}
	smtp := 0
	for _, id := range ask.Identities {
		if id.Here {
			smtp = id.SMTP.Port
		}
	}
	page := lan.NewPage(ln.Addr().String(), mailbox)
	l.page, l.pageAt, l.pageOf = l.servePage(ln, page), addr, ask.User+"/"+ask.Device
	l.agent.log.Info().Str("user", ask.User).Str("device", ask.Device).Str("listen", ln.Addr().String()).Stringer("for", lan.PageFor).
		Msg("page to set a phone up is served")
	return operations.Pairing{URL: "https://" + ln.Addr().String() + "/" + page.Token, Until: time.Now().Add(lan.PageFor),
		PageFingerprint: lan.Fingerprint(shown.Raw), Fingerprint: lan.Fingerprint(ca.Raw), Host: mailbox.Host, Port: mailbox.Port, SMTPPort: smtp}, nil
}

func listenNear(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	if next := addr.Port() + 1; next > 1 {
		if ln, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(addr.Addr(), next).String()); err == nil {
			return ln, nil
		}
	}
	ln, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(addr.Addr(), 0).String())
	return ln, fault.Wrap(err, fault.Temporary, fmt.Sprintf("the page for the phone cannot be served at %s", addr.Addr()), "try again; `popbridge status` shows the addresses")
}

// servePage serves a page for its time. Who may connect is who may to the IMAP server.
func (l *lanAccess) servePage(ln net.Listener, page *lan.Page) *supervise.Task {
	return l.group.Start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lan.PageFor)
		defer cancel()
		defer func() { _ = ln.Close() }() // closed already, as a rule
		srv := &http.Server{
			Handler:           page,
			TLSConfig:         l.tls.server(),
			ReadHeaderTimeout: pageTimeout, ReadTimeout: pageTimeout, WriteTimeout: pageTimeout,
			MaxHeaderBytes: 16 << 10,
			ErrorLog:       log.New(io.Discard, "", 0), // of handshakes that phones give up, at the certificate
			Protocols:      new(http.Protocols),
		}
		srv.Protocols.SetHTTP1(true)
		stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
		defer stop()
		err := srv.ServeTLS(&lan.Listener{Listener: ln, Peers: l.peers, Refused: l.refusals.note}, "", "")
		if !errors.Is(err, http.ErrServerClosed) {
			l.agent.log.Warn().Err(err).Msg("page to set a phone up has ended early")
		}
	})
}
