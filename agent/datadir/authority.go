package datadir

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/popbridge/popbridge/installer/trust"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
)

// AuthorityFile is where the certificate of the authority is that signs for mail
// clients of this computer.
func AuthorityFile(dir string) string {
	return filepath.Join(dir, "tls", localtls.AuthorityFile)
}

// LANAuthorityFile is that of the authority that signs for the local network.
func LANAuthorityFile(dir string) string {
	return filepath.Join(dir, "tls", "lan", localtls.AuthorityFile)
}

// ServerFile is the certificate that a server shows, beside that of its authority.
func ServerFile(authority string) string {
	return filepath.Join(filepath.Dir(authority), localtls.ServerFile)
}

// ReadAuthority returns the certificate in a file of a data folder, nil where there is
// none yet. An agent may run.
func ReadAuthority(dir, path string) (*x509.Certificate, error) {
	if err := Check(dir); err != nil {
		return nil, err
	}
	ca, err := trust.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return ca, fault.Wrap(err, fault.Corrupt, "the certificate of the local authority cannot be read from "+path, "restore the folder tls from a backup; or delete it, and trust the new authority")
}
