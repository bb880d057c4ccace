package secret

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

func readFile(path string) (Secret, error) {
	where := "the password file " + path
	if f := ownership.Check(path, ownership.Options{}); f != nil {
		return "", fault.New(fault.Config, where+" is not used, because other users can change it: "+f.Why, f.Hint+"; "+otherwise(path))
	}
	// Looked at before it is opened: opening a named pipe would wait for ever.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.New(fault.Config, where+" does not exist", "create it, for you alone (chmod 600), or correct password_file")
	case err != nil:
		return "", fault.Wrap(err, fault.Config, where+" cannot be looked at", "")
	case !info.Mode().IsRegular():
		return "", fault.New(fault.Config, where+" is not a plain file", "correct password_file; password_command takes the output of a program")
	}
	f, err := atomicfile.Open(path)
	if atomicfile.IsHeld(err) {
		return "", err
	}
	if err != nil {
		return "", fault.Wrap(err, fault.Config, where+" cannot be opened", "it must belong to the user that popbridge runs as")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRead))
	if err != nil {
		return "", fault.Wrap(err, fault.Config, where+" cannot be read", "")
	}
	return clean(decode(data), where)
}
