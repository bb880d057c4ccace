package contents

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/ownership"
)

// Damage is why a message file could not be copied.
type Damage struct {
	Code string // missing-file, truncated-file, changed-file or unreadable-file
	Err  error  // of an unreadable file; may be nil
}

func (d *Damage) Error() string { return d.Code }

// CopyFrom brings the message file of that hash and size from other ones, and
// compares it with its hash on the way. It returns how many bytes were copied, 0
// where the file is here already. The error is a Damage when it is that of the
// file. The file is durable, its name only once the folder is synced: this may have
// been interrupted before.
func (f *Files) CopyFrom(ctx context.Context, from *Files, h Hash, size int64) (int64, error) {
	src, dst := from.Path(h), f.Path(h)
	if f.has(src, dst, size) {
		return 0, nil
	}
	info, err := os.Lstat(src)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, &Damage{Code: "missing-file"}
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular() || info.Size() != size:
		return 0, &Damage{Code: "truncated-file"}
	}
	if err := atomicfile.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) { // of another size
		return 0, err
	}
	if err := copyFile(ctx, src, dst, h); err != nil {
		return 0, err
	}
	return size, nil
}

// has reports whether dst is a file of that size, our own and not the same as src,
// as in a backup that shares its files with the store.
func (f *Files) has(src, dst string, size int64) bool {
	info, err := os.Lstat(dst)
	if err != nil || !info.Mode().IsRegular() || info.Size() != size || ownership.Foreign(info) {
		return false
	}
	other, err := os.Lstat(src)
	return err != nil || !os.SameFile(info, other)
}

func copyFile(ctx context.Context, from, to string, h Hash) error {
	file, err := atomicfile.Open(from)
	if err != nil {
		return &Damage{Code: "unreadable-file", Err: err}
	}
	defer file.Close() // it was only read
	src, changed := NewSource(ctx, file), &Damage{Code: "changed-file"}
	err = atomicfile.WriteFunc(to, 0o600, func(w io.Writer) error {
		sum := sha256.New()
		_, err := io.Copy(io.MultiWriter(w, sum), src)
		if err == nil && Hash(sum.Sum(nil)) != h {
			err = changed
		}
		return err
	})
	switch {
	case errors.Is(err, changed):
		return changed
	case src.Err() != nil && ctx.Err() == nil:
		return &Damage{Code: "unreadable-file", Err: src.Err()}
	}
	return err
}
