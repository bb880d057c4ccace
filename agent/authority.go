package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/trust"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
)

// AuthorityFile is where the certificate of the authority is that signs for mail
// clients of this computer.
func AuthorityFile(dataDir string) string {
	return filepath.Join(dataDir, "tls", localtls.AuthorityFile)
}

// LANAuthorityFile is that of the authority that signs for the local network.
func LANAuthorityFile(dataDir string) string {
	return filepath.Join(dataDir, "tls", "lan", localtls.AuthorityFile)
}

// ReadAuthority returns the certificate in a file of the data folder of a config, nil
// where there is none yet. An agent may run.
func ReadAuthority(cfg *config.Config, path string) (*x509.Certificate, error) {
	if err := datadir.Check(cfg.DataDir); err != nil {
		return nil, err
	}
	ca, err := trust.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return ca, fault.Wrap(err, fault.Corrupt, "the certificate of the local authority cannot be read from "+path, "restore the folder tls from a backup; or delete it, and trust the new authority")
}

// Authority returns the local certificate authority of a config, which is made where
// there is none yet, as at the first start of the agent.
func Authority(ctx context.Context, cfg *config.Config, o Options) (*x509.Certificate, error) {
	ca, err := ReadAuthority(cfg, AuthorityFile(cfg.DataDir))
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
	ca, readErr := ReadAuthority(cfg, AuthorityFile(cfg.DataDir))
	if ca == nil && readErr == nil {
		readErr = err
	}
	return ca, readErr
}
