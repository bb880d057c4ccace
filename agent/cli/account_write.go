package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

// writeAccount stores the password of an account that was tried, writes the account into
// the config, and says where the password is.
func (a *app) writeAccount(ctx context.Context, next config.Account, password secret.Secret, settings []config.Setting) (where string, err error) {
	where, made := "from where the config says", ""
	if next.Password.InKeychain() {
		if where, made, err = a.storePassword(ctx, next, password); err != nil {
			return "", err
		}
		if made != "" {
			settings = append(settings, config.Text("password_file", filepath.Base(made)))
		}
	}
	_, missing := os.Lstat(a.configPath)
	_, err = config.Edit(a.configPath, func(text []byte) ([]byte, error) { return config.AddAccount(text, settings) })
	if err == nil {
		err = a.handOver(a.configPath, made, missing != nil)
	}
	if err != nil && made != "" && !a.hasPasswordFile(made) { // another command may have been faster
		err = errors.Join(err, os.Remove(made))
	}
	return where, err
}

// storePassword puts the password where the agent finds it: into the keychain or, where
// there is none, into a file made for it.
func (a *app) storePassword(ctx context.Context, next config.Account, password secret.Secret) (where, made string, err error) {
	owner := a.serviceAccount()
	item := secret.Item{Service: config.KeychainService, Account: next.KeychainItem()}
	if owner == "" && secret.Store(ctx, item, password) == nil { // root's keychain is none of the service's
		return "in the keychain", "", nil
	}
	path := filepath.Join(filepath.Dir(a.configPath), next.Name+".password")
	if info, err := os.Lstat(path); err == nil && (!info.Mode().IsRegular() || a.hasPasswordFile(path)) { // one that was left is replaced
		return "", "", fault.New(fault.Conflict, "there is no keychain, and "+path+" is in use already", "remove it, or name a file with --password-file")
	}
	mode := fs.FileMode(0o700)
	if owner != "" {
		mode = 0o755
	}
	err = os.MkdirAll(filepath.Dir(path), mode)
	if err == nil {
		err = atomicfile.Write(path, 0o600, []byte(string(password)+"\n"))
	}
	if err != nil {
		return "", "", fault.Wrap(err, fault.Config, "there is no keychain, and the password cannot be written to a file", "look at the permissions of the folder of the config, and at the space on its disk")
	}
	reader := "this user"
	if owner != "" {
		reader = "user " + owner
	}
	return "in the file " + path + ", which only " + reader + " can read", path, nil
}

// hasPasswordFile reports whether an account of the config has its password in a file.
func (a *app) hasPasswordFile(path string) bool {
	abs, err := filepath.Abs(path)
	cfg, loadErr := config.Load(a.configPath)
	return err == nil && loadErr == nil && slices.ContainsFunc(cfg.Accounts, func(c config.Account) bool { return c.Password.File == abs })
}
