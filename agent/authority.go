package agent

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// Authority returns the local certificate authority of a config, which is made where
// there is none yet, as at the first start of the agent.
func Authority(ctx context.Context, cfg *config.Config, o Options) (*x509.Certificate, error) {
	ca, err := datadir.ReadAuthority(cfg.DataDir, datadir.AuthorityFile(cfg.DataDir))
	if ca != nil || err != nil {
		return ca, err
	}
	if cfg.IMAP.TLS == config.Off {
		return nil, fault.New(fault.Config, "imap.tls is off in "+cfg.Path+", so that there is no certificate which could be trusted", `set tls = "starttls" below [imap] first`)
	}
	own, err := Open(ctx, cfg, o)
	if err == nil {
		err = errors.Join(own.tls.ensure(), own.Close())
	}
	if err != nil && !fault.Is(err, fault.Conflict) { // an agent may just have started, and made it
		return nil, err
	}
	ca, readErr := datadir.ReadAuthority(cfg.DataDir, datadir.AuthorityFile(cfg.DataDir))
	if ca == nil && readErr == nil {
		readErr = err
	}
	return ca, readErr
}
