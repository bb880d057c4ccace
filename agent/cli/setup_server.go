package cli

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
)

const serverHint = "write pop.example.com; with another port pop.example.com:1995; without TLS from the start: pop.example.com starttls"

// askServer asks for the server of a provider and the user name there, and connects to
// see that it is one. An empty answer is none, and gives no server.
func (a *app) askServer(ctx context.Context, address discover.Address) (none discover.Server, err error) {
	a.printf("The help pages of your provider name its POP3 server; Enter alone: another address.\n")
	for range tries {
		text, err := a.question(ctx, "POP3 server: ")
		if err != nil || text == "" {
			return none, err
		}
		candidates, err := parseServer(text)
		if err != nil {
			a.printf("%s\n", sentences(err))
			continue
		}
		for _, s := range candidates {
			c := config.Account{Host: s.Host, Port: s.Port, TLS: config.Security(s.TLS), TLSMinimum: config.TLS12}
			if err = accounts.Reach(ctx, c); err == nil {
				c.Username = address.String()
				err = a.askUsername(ctx, &c)
				s.Username = c.Username
				return s, err
			}
			if ctx.Err() != nil {
				return none, ctx.Err()
			}
			a.printf("  %s: %s\n", s, err)
			if health.IsCertificate(err) { // it speaks TLS there, and nothing else
				break
			}
		}
		a.printf("  %s\n", serverHintFor(err))
	}
	return none, fault.New(fault.Temporary, "no server could be connected to", "check that this computer is online, and what the help pages of the provider say; nothing was set up")
}

// serverHintFor is what to do about a server that cannot be used, in terms of what can be
// typed: setup has no question for a certificate.
func serverHintFor(err error) string {
	switch {
	case health.IsCertificate(err):
		return "setup has no way to accept that: add the account with its certificate or key, `popbridge account add --address ADDRESS --host HOST ca_file=FILE`, or tls_pin=sha256:…; " + fault.Hint(err)
	case fault.Is(err, fault.Config):
		return "for a server without TLS, whose password others on the way can read, write none behind it: pop.example.com:110 none"
	}
	return fault.Hint(err)
}

// askUsername asks for the user name at the server; an empty answer leaves it.
func (a *app) askUsername(ctx context.Context, account *config.Account) error {
	name, err := a.question(ctx, "User name there ["+account.Username+"]: ")
	if err == nil && name != "" {
		account.Username = name
	}
	return err
}

// parseServer reads HOST, HOST:PORT, and the way it is protected after that. It returns
// the servers that may be meant, the best first.
func parseServer(text string) (list []discover.Server, err error) {
	words := strings.Fields(text)
	host, port := words[0], 0
	if h, p, splitErr := net.SplitHostPort(host); splitErr == nil && !strings.Contains(host, "://") {
		host = h
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return nil, fault.New(fault.Config, fault.Quote(p)+" is not a port (1 to 65535)", serverHint)
		}
	}
	if host, err = config.Host(host); err != nil {
		return nil, fault.New(fault.Config, err.Error(), serverHint)
	}
	implicit := discover.Server{Host: host, Port: 995, TLS: discover.Implicit}
	startTLS := discover.Server{Host: host, Port: 110, TLS: discover.StartTLS}
	switch kind := strings.ToLower(strings.Join(words[1:], " ")); {
	case kind == "starttls" || kind == "" && port == 110:
		list = []discover.Server{startTLS}
	case kind == "tls" || kind == "ssl" || kind == "ssl/tls" || kind == "implicit" || kind == "" && port == 995:
		list = []discover.Server{implicit}
	case kind == "none":
		list = []discover.Server{{Host: host, Port: 110, TLS: discover.None}}
	case kind == "":
		list = []discover.Server{implicit, startTLS}
	default:
		return nil, fault.New(fault.Config, fault.Quote(kind)+" is no way to protect a connection: tls, starttls or none", serverHint)
	}
	for i := range list {
		if port != 0 {
			list[i].Port = port
		}
	}
	return list, nil
}
