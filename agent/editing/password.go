package editing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

// Stored is where the password of an account is. The zero Stored is where the config says.
type Stored struct {
	Keychain bool
	File     string // the path; "": in none
	Owner    string // who else than this user can read the file
}

// String is it in words.
func (s Stored) String() string {
	switch {
	case s.Keychain:
		return "in the keychain"
	case s.File == "":
		return "from where the config says"
	case s.Owner != "":
		return "in the file " + s.File + ", which only user " + s.Owner + " can read"
	}
	return "in the file " + s.File + ", which only this user can read"
}

// store puts the password where the agent finds it: into the keychain or, where there is
// none, into a file made for it.
func (f File) store(ctx context.Context, next config.Account, password secret.Secret) (where Stored, err error) {
	if f.Owner == "" && storeInKeychain(ctx, next, password) == nil { // root's keychain is none of the service's
		return Stored{Keychain: true}, nil
	}
	dir, mode := filepath.Dir(f.Path), fs.FileMode(0o700)
	if f.Owner != "" {
		mode = 0o755
	}
	var path string
	if err = os.MkdirAll(dir, mode); err == nil {
		path, err = storeInFile(dir, next.Name, password)
	}
	if err != nil {
		return where, fault.Wrap(err, fault.Config, "there is no keychain, and the password cannot be written to a file", "look at the permissions of the folder of the config, and at the space on its disk")
	}
	return Stored{File: path, Owner: f.Owner}, nil
}

// storeInFile makes a file with a password in a folder, see newPasswordFile.
func storeInFile(dir, name string, password secret.Secret) (path string, err error) {
	if path, err = newPasswordFile(dir, name); err != nil {
		return "", err
	}
	if err = writePassword(path, password); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return path, err
}

// isPasswordFile reports whether a path is one that newPasswordFile gives.
func isPasswordFile(path, account string) bool {
	number, ok := strings.CutPrefix(strings.TrimSuffix(path, ".password"), account)
	if _, err := strconv.Atoi(strings.TrimPrefix(number, "-")); number != "" && (err != nil || number[0] != '-') {
		return false
	}
	return ok && strings.HasSuffix(path, ".password")
}

// newPasswordFile makes a file for the password of an account in a folder. What is there
// already may be that of another account, or what a password_command reads: the name is
// numbered then.
func newPasswordFile(dir, account string) (path string, err error) {
	for n := 1; n < 100; n++ {
		path = filepath.Join(dir, account+".password")
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.password", account, n))
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			return path, file.Close()
		}
		if _, there := os.Lstat(path); there != nil {
			return "", err
		}
	}
	return "", fault.New(fault.Conflict, "there are 99 password files of account "+account+" in "+dir, "remove those that nothing uses")
}

func writePassword(path string, password secret.Secret) error {
	return atomicfile.Write(path, 0o600, []byte(string(password)+"\n"))
}

// storeInKeychain puts the password of an account into the keychain of this user, in place
// of one that is there.
func storeInKeychain(ctx context.Context, account config.Account, password secret.Secret) error {
	return secret.Store(ctx, secret.Item{Service: config.KeychainService, Account: account.KeychainItem()}, password)
}

// Replaceable reports why the password of an account cannot be replaced: it is the output of
// a command, or in a file that another account has as well.
func (f File) Replaceable(account config.Account) error {
	path := account.Password.File
	switch {
	case account.SignsInToFetch():
		return fault.New(fault.Conflict, "account "+account.Name+" has no password: it is signed in", "sign it in: "+config.Command(f.Path, "account signin "+account.Name))
	case account.Password.InKeychain():
		return nil
	case path == "":
		return fault.New(fault.Conflict, "the password of account "+account.Name+" is what a command prints", "change it where the command takes it from: "+fault.Quote(account.Password.Command[0]))
	case f.usesPasswordFile(path, account.Name):
		return fault.New(fault.Conflict, "another account has its password in "+path+", too", "change it there by hand, or give one of the accounts another file")
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fault.New(fault.Conflict, path+" is no plain file, so the password is not written there", "change it where the link leads")
	}
	return nil
}

// Replace puts another password where the config says that the one of the account is, if it
// is Replaceable.
func (f File) Replace(ctx context.Context, account config.Account, password secret.Secret) (where Stored, err error) {
	switch err := f.Replaceable(account); {
	case err != nil:
		return where, err
	case account.Password.InKeychain():
		return Stored{Keychain: true}, storeInKeychain(ctx, account, password)
	}
	path := account.Password.File
	return Stored{File: path}, fault.Wrap(writePassword(path, password), fault.Config, "the password cannot be written to the file "+path, "look at the permissions of its folder, and at the space on its disk")
}

// usesPasswordFile reports whether an account of the config, other than one, has its
// password, or that for sending, in a file.
func (f File) usesPasswordFile(path, other string) bool {
	abs, err := filepath.Abs(path)
	cfg, loadErr := config.Load(f.Path)
	return err == nil && loadErr == nil && slices.ContainsFunc(cfg.Accounts, func(c config.Account) bool {
		return (c.Password.File == abs || c.Send.Password.File == abs) && !strings.EqualFold(c.Name, other)
	})
}

// ChangeSending changes keys of an account that are about its outgoing server. A password, if
// any, is one for that server alone, and is in a new file: the config names both at once, so
// that neither server is ever sent the password of the other. A former file that was made
// here goes.
func (f File) ChangeSending(before config.Account, settings []config.Setting, password secret.Secret) error {
	var made string
	if password != "" {
		path, err := storeInFile(filepath.Dir(f.Path), before.Name+"-send", password)
		if err != nil {
			return fault.Wrap(err, fault.Config, "the password cannot be written to a file", "look at the permissions of the folder of the config, and at the space on its disk")
		}
		made, settings = path, append(settings, config.Text("send.password_file", filepath.Base(path)))
	}
	if _, _, err := f.Change(before.Name, settings); err != nil {
		if made != "" {
			err = errors.Join(err, os.Remove(made))
		}
		return err
	}
	former := before.Send.Password.File
	if ours, err := filepath.Abs(filepath.Join(filepath.Dir(f.Path), before.Name+"-send")); err == nil && isPasswordFile(former, ours) && !f.usesPasswordFile(former, "") {
		_ = os.Remove(former) // nothing reads it any more
	}
	return nil
}
