package agent

import (
	"context"
	"net"
	"slices"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
)

// addresses returns the configured addresses, and [::1] beside 127.0.0.1 where a
// port is given and this machine has IPv6: localhost is either, and what another
// program listens on there would be given the passwords of mail clients.
func addresses(ctx context.Context, cfg *config.Config) []string {
	all := slices.Clone(cfg.IMAP.Listen)
	for _, addr := range cfg.IMAP.Listen {
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
