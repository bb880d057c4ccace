package editing

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

// Client is what popbridge is registered as with a provider of tokens (OAuth 2).
type Client struct {
	Provider string // one that is built in
	ID       string
	Secret   secret.Secret // "": the provider has given none
	Tenant   string        // of Microsoft; "": any
}

// PlanClient is AddClient that writes nothing, and has no secret.
func (f File) PlanClient(c Client) error {
	_, err := f.writeClient(config.Plan, c, "")
	return err
}

// AddClient stores the secret of a client id in a file beside the config, and writes the
// client into the config as a table [oauth.NAME]. It returns that NAME.
func (f File) AddClient(c Client) (name string, err error) {
	if err := f.PlanClient(c); err != nil {
		return "", err
	}
	file := ""
	if c.Secret != "" {
		if file, err = f.secretFile(c); err != nil {
			return "", fault.Wrap(err, fault.Config, "the client secret cannot be written to a file", "look at the permissions of the folder of the config, and at the space on its disk")
		}
	}
	_, missing := os.Lstat(f.Path)
	name, err = f.writeClient(config.Edit, c, file)
	if err == nil && f.HandOver != nil {
		err = f.HandOver(file, missing != nil)
	}
	if err != nil && file != "" {
		err = errors.Join(err, os.Remove(file))
	}
	return name, err
}

func (f File) writeClient(write func(string, func([]byte) ([]byte, error)) (*config.Config, error), c Client, file string) (name string, err error) {
	settings := []config.Setting{config.Text("client_id", c.ID)}
	if c.Tenant != "" {
		settings = append(settings, config.Text("tenant", c.Tenant))
	}
	if file != "" {
		settings = append(settings, config.Text("client_secret_file", filepath.Base(file)))
	}
	_, err = write(f.Path, func(text []byte) (next []byte, err error) {
		next, name, err = config.AddOAuth(text, c.Provider, settings)
		return next, err
	})
	return name, err
}

// secretFile writes the secret of a client where nothing is yet.
func (f File) secretFile(c Client) (path string, err error) {
	dir, mode := filepath.Dir(f.Path), fs.FileMode(0o700)
	if f.Owner != "" {
		mode = 0o755
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return "", err
	}
	if path, err = newPasswordFile(dir, "oauth-"+c.Provider); err != nil {
		return "", err
	}
	if err := writePassword(path, c.Secret); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return path, nil
}
