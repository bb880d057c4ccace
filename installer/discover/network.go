package discover

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Limits of what is asked of the network.
const (
	dnsFor     = 5 * time.Second  // one look-up
	connectFor = 4 * time.Second  // one IP address
	maxIPs     = 4                // tried of one name
	fetchFor   = 10 * time.Second // one document, with redirects
	talkFor    = 10 * time.Second // one server that is probed; all are at once
)

// network is everything outside: names, connections, certificates.
type network struct {
	resolver *net.Resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	roots    *x509.CertPool
	limits
}

// limits are fetchFor and talkFor; tests have others.
type limits struct{ fetch, talk time.Duration }

func newNetwork(o Options) network {
	n := network{resolver: o.Resolver, dial: o.Dial, roots: o.RootCAs, limits: o.limits}
	if n.limits == (limits{}) {
		n.limits = limits{fetch: fetchFor, talk: talkFor}
	}
	if n.resolver == nil {
		n.resolver = net.DefaultResolver
	}
	if n.dial == nil {
		n.dial = new(net.Dialer).DialContext
	}
	return n
}

// errPrivate says that a redirect was not followed.
var errPrivate = errors.New("the redirect leads into a private network: not followed")

// private reports whether an address is of this machine or a local network, or
// otherwise nothing that the public network reaches.
func private(ip netip.Addr) bool {
	ip = ip.Unmap()
	return !ip.IsGlobalUnicast() || ip.IsPrivate() || sharedSpace.Contains(ip)
}

// sharedSpace is that of carriers (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// connect connects to a port of a host by name: its addresses in turn, as the
// resolver orders them. With publicOnly private addresses are passed over; the
// address that was looked at is the one that is connected to.
func (n network) connect(ctx context.Context, host string, port int, publicOnly bool) (net.Conn, error) {
	look, cancel := context.WithTimeout(ctx, dnsFor)
	defer cancel()
	// The dot keeps the search list of the system out of it.
	ips, err := n.resolver.LookupNetIP(look, "ip", host+".")
	if err != nil {
		return nil, err
	}
	last := errPrivate
	for _, ip := range ips[:min(len(ips), maxIPs)] {
		if publicOnly && private(ip) {
			continue
		}
		try, cancel := context.WithTimeout(ctx, connectFor)
		conn, err := n.dial(try, "tcp", net.JoinHostPort(ip.Unmap().String(), strconv.Itoa(port)))
		cancel()
		if err == nil {
			return conn, nil
		}
		if last = err; ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

// with connects, and closes the connection when use returns or ctx ends. ctx has
// to have a deadline.
func (n network) with(ctx context.Context, host string, port int, publicOnly bool, use func(net.Conn) error) error {
	conn, err := n.connect(ctx, host, port, publicOnly)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // what counts was said before
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := use(conn); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// tlsConfig verifies that a certificate is valid for host.
func (n network) tlsConfig(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: n.roots, MinVersion: tls.VersionTLS12}
}

// lookupMX returns the best mail exchanger of a domain.
func (n network) lookupMX(ctx context.Context, domain string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsFor)
	defer cancel()
	records, err := n.resolver.LookupMX(ctx, domain+".")
	if len(records) == 0 {
		return "", err
	}
	if records[0].Host == "." { // RFC 7505
		return "", fmt.Errorf("the domain takes no mail")
	}
	host, ok := hostName(records[0].Host)
	if !ok {
		return "", fmt.Errorf("the name of the mail exchanger is not one")
	}
	return host, nil
}

// lookupSRV returns the server of a service (RFC 6186, RFC 8314 section 5.1):
// the record of the lowest priority, chosen by weight among several.
func (n network) lookupSRV(ctx context.Context, service, domain string) (host string, port int, err error) {
	ctx, cancel := context.WithTimeout(ctx, dnsFor)
	defer cancel()
	_, records, err := n.resolver.LookupSRV(ctx, service, "tcp", domain+".")
	if len(records) == 0 {
		return "", 0, err
	}
	first := records[0]
	if first.Target == "." { // RFC 6186 section 3.4
		return "", 0, errNotOffered
	}
	host, ok := hostName(first.Target)
	if !ok || first.Port == 0 {
		return "", 0, fmt.Errorf("the record names no server")
	}
	return host, int(first.Port), nil
}

var errNotOffered = errors.New("the domain says that it does not offer this")

// absent reports whether an error says that there is no such name or record.
func absent(err error) bool {
	d, ok := errors.AsType[*net.DNSError](err)
	return ok && d.IsNotFound
}

// dnsFails reports whether the DNS gave no answer.
func dnsFails(err error) bool {
	d, ok := errors.AsType[*net.DNSError](err)
	return ok && !d.IsNotFound
}

// explain says to a person why something could not be had.
func explain(err error) string {
	if names := certificateNames(err); names != "" {
		return "its certificate is for " + names + ": not used"
	}
	if v, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not valid (" + printable(v.Err.Error(), 120) + "): not used"
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case absent(err):
		return "there is none"
	case dnsFails(err):
		return "the DNS gives no answer"
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return "no answer in time"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "cannot be reached"
	}
	return printable(err.Error(), 160)
}

// certificateNames returns the names in a certificate that is not for the
// host that showed it, or "".
func certificateNames(err error) string {
	h, ok := errors.AsType[x509.HostnameError](err)
	if !ok || h.Certificate == nil || len(h.Certificate.DNSNames) == 0 {
		return ""
	}
	names := h.Certificate.DNSNames
	text := strings.Join(names[:min(len(names), 3)], ", ")
	if len(names) > 3 {
		text += " and others"
	}
	return printable(text, 160)
}
