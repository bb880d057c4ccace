package cli

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// freePorts writes other ports of the servers for mail programs into the config where other programs
// have those that are there, before a mail program is told of them. While an agent runs
// they are its own.
func (a *app) freePorts(ctx context.Context) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	running := false
	err = a.with(ctx, func(ops operations.Operations) error {
		s, err := ops.Status(ctx)
		running = s.Running
		return err
	})
	if err != nil || running {
		return err
	}
	var settings []config.Setting
	taken := slices.Concat(cfg.IMAP.Listen, cfg.SMTP.Listen)
	for _, server := range []struct {
		table, does string
		listen      []string
	}{{"imap", "connect to", cfg.IMAP.Listen}, {"smtp", "send by", cfg.SMTP.Listen}} {
		listen := slices.Clone(server.listen)
		for i, addr := range listen {
			free, err := freePort(ctx, server.table, addr, taken)
			if err != nil {
				return err
			}
			if free != addr {
				a.printf("  another program has the address %s, so mail programs %s %s; that is in the config now\n", addr, server.does, free)
			}
			listen[i] = strconv.Quote(free)
			taken = append(taken, free)
		}
		if key := server.table + ".listen"; !slices.Equal(listen, quoted(server.listen)) {
			settings = append(settings, config.Setting{Key: key, Value: "[" + strings.Join(listen, ", ") + "]"})
		}
	}
	if len(settings) == 0 {
		return nil
	}
	_, err = config.Edit(a.configPath, func(text []byte) ([]byte, error) { return config.SetKeys(text, settings) })
	return err
}

func quoted(list []string) (out []string) {
	for _, s := range list {
		out = append(out, strconv.Quote(s))
	}
	return out
}

// freePort is the address, or the next one whose port is free and that is not in the list,
// where another program has it. One that cannot be listened on for another reason stays:
// the agent says what is wrong with it.
func freePort(ctx context.Context, table, addr string, list []string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	first, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil {
		return addr, nil // the config was checked
	}
	var lc net.ListenConfig
	for p := first; p <= min(first+100, 65535); p++ {
		candidate := net.JoinHostPort(host, strconv.Itoa(p))
		if p > first && slices.Contains(list, candidate) {
			continue
		}
		ln, err := lc.Listen(ctx, "tcp", candidate)
		switch {
		case err == nil:
			return candidate, ln.Close()
		case p == first && !agent.PortBusy(err):
			return addr, nil
		}
	}
	return "", fault.New(fault.Conflict, "other programs have the port of "+addr+" and the hundred after it", "name a free one in the config, below ["+table+"]: listen = [\"127.0.0.1:PORT\"]")
}
