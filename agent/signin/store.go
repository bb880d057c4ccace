package signin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// Folder is the name of the folder in the data folder that has the tokens.
const Folder = "tokens"

// record is the file of an identity.
type record struct {
	Version  int    `json:"version"`
	OAuth    string `json:"oauth"` // whose they are, for a person who looks
	Username string `json:"username"`
	// Whom the refresh tokens were issued to, and by whom: they go nowhere else.
	ClientID string `json:"client_id"`
	TokenURL string `json:"token_url"`

	Access  string    `json:"access"`
	Renewed time.Time `json:"renewed"` // when Access came
	Expires time.Time `json:"expires"` // of Access
	Refresh string    `json:"refresh"`
	Former  string    `json:"former,omitempty"` // the refresh token before, until Refresh has worked

	SignedIn time.Time `json:"signed_in"`
	// Before is the sign-in before, while the mail servers are tried with this one. That it
	// is there after a start says that they were not asked to the end.
	Before *record `json:"before,omitempty"`
	// Untaken says that the mail servers refused this sign-in when it was new.
	Untaken bool `json:"untaken,omitempty"`
	// Refusals counts how often the provider refused the refresh tokens in a row.
	Refusals  int       `json:"refusals,omitempty"`
	RefusedAt time.Time `json:"refused_at,omitzero"`
	Refusal   string    `json:"refusal,omitempty"` // its words
	Hint      string    `json:"hint,omitempty"`
}

const recordVersion = 1

// maxRecord is the size in bytes of the largest file that is read.
const maxRecord = 1 << 20

// issued reports whether the tokens are those of a table of the config.
func (r *record) issued(o *config.OAuth) bool {
	return r.ClientID == o.ClientID && r.TokenURL == o.Endpoints.Token
}

// good reports whether a sign-in is there by which the account can log in, as far as is known.
func (r *record) good(o *config.OAuth) bool {
	return r != nil && r.Refusals == 0 && !r.Untaken && r.issued(o)
}

// Kept reports whether a data folder has a sign-in by which an account can log in, as far
// as is known: that of an account with the same identity, here now or before.
func Kept(dataDir string, c config.Account) bool {
	r, err := load(path(dataDir, c))
	return err == nil && r.good(c.OAuth)
}

// path is the file of an identity.
func path(dataDir string, c config.Account) string {
	sum := sha256.Sum256([]byte(c.OAuth.Name + "\x00" + c.Username))
	return filepath.Join(dataDir, Folder, hex.EncodeToString(sum[:16])+".json")
}

// load reads a file; nil: there is none.
func load(path string) (*record, error) {
	data, err := atomicfile.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fault.Wrap(err, fault.Temporary, "the file with the sign-in cannot be read", "look at its permissions: "+path)
	}
	r := &record{}
	if len(data) > maxRecord || json.Unmarshal(data, r) != nil || r.Version < 1 || r.Refresh == "" {
		return nil, fault.New(fault.Corrupt, "the file with the sign-in is damaged: "+path, "")
	}
	if r.Version > recordVersion {
		return nil, fault.New(fault.Corrupt, "the file with the sign-in is of a newer popbridge: "+path, "update popbridge")
	}
	if r.Before != nil && r.Before.Refresh != "" {
		return r.Before, nil
	}
	return r, nil
}

// save makes a record durable.
func save(path string, r *record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(dir))
	}
	if err == nil {
		err = atomicfile.Write(path, 0o600, append(data, '\n'))
	}
	return fault.Wrap(err, fault.Temporary, "the new sign-in cannot be written down, so it is not used yet", "look at the free space and the permissions of "+dir)
}
