package secret

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/popbridge/popbridge/internal/fault"
)

func readFile(path string) (Secret, error) {
	where := "the password file " + path
	// Looked at before it is opened: opening a named pipe would wait for ever.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.Wrap(err, fault.Config, where+" does not exist", "create it, or correct password_file")
	case err != nil:
		return "", fault.Wrap(err, fault.Config, where+" cannot be looked at", "")
	case !info.Mode().IsRegular():
		return "", fault.New(fault.Config, where+" is not a plain file", "correct password_file; password_command takes the output of a program")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fault.Wrap(err, fault.Config, where+" cannot be opened", "it must belong to the user that popbridge runs as")
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return "", fault.Wrap(err, fault.Config, where+" cannot be looked at", "")
	}
	// Windows has access lists instead; its mode bits say nothing.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", fault.New(fault.Config, where+" can be read by other users", "run: chmod 600 "+fault.ShellQuote(path))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+6)) // with byte order mark, line end and one byte too many
	if err != nil {
		return "", fault.Wrap(err, fault.Config, where+" cannot be read", "")
	}
	return clean(string(data), where)
}
