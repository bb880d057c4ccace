package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/installer/trust"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// trustStores returns the stores that a command is about: those of this user and, as
// what it cannot change, that of the system; or with --system that one alone.
func (a *app) trustStores(system bool) ([]trust.Store, error) {
	caller := installer.RunsAs(true)
	switch {
	case !system && caller != "":
		by := ownership.CalledBy(os.Getenv).By
		return nil, fault.New(fault.Config, "with "+by+" this would be about the programs of the user root", "omit "+by+" for those of "+caller+", or add --system for the store of the system")
	case !system:
		return trust.Find(datadir.AuthorityFile(config.DataDir(a.configPath))), nil
	case runtime.GOOS != "linux":
		return nil, fault.New(fault.Config, "--system is for Linux only", "omit it: here the store of the system has a part for each user")
	case os.Geteuid() != 0:
		return nil, fault.New(fault.Denied, "only root may change the store of the system", "run it with sudo")
	}
	stores := trust.System()
	if len(stores) == 0 {
		return nil, fault.New(fault.NotFound, "this system has no store of authorities that popbridge knows", "install ca-certificates, or give each program the file tls/ca.pem in the data folder")
	}
	return stores, nil
}

// authorityOf is authority. With --system it is that of the user whose mail it is: who
// called sudo, or as whom the service with this config runs.
func (a *app) authorityOf(ctx context.Context, system, create bool) (*x509.Certificate, string, error) {
	if !system {
		return a.authority(ctx, create)
	}
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return nil, "", fault.Wrap(err, fault.Config, "the path of the config file cannot be made absolute", "name the whole path with --config")
	}
	name := installer.AccountOf(path)
	if name == "" {
		if name = installer.RunsAs(true); name != "" && !a.configNamed {
			path = "" // that user's own
		}
	}
	if name == "" {
		return a.authority(ctx, create)
	}
	seen, err := a.checkAs(ctx, name, path)
	if err != nil {
		return nil, "", err
	}
	file := datadir.AuthorityFile(seen.DataDir)
	ca, err := trust.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, seen.DataDir, nil
		}
		return nil, "", fault.New(fault.NotFound, "there is no authority in the data folder of user "+name+" yet", "the first start of popbridge makes it, or as that user: popbridge trust install")
	}
	return ca, seen.DataDir, fault.Wrap(err, fault.Corrupt, "the authority cannot be read from "+file, "restore the folder tls of that data folder from a backup")
}
