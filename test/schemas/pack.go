package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// pack writes a folder of users as a tar, with what its program showed. What is made
// again by itself is not in it.
func pack(out, users, shown string, at time.Time) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	add := func(name string, data []byte) error {
		h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	if err := add("shown.txt", []byte(shown)); err != nil {
		return err
	}
	root := os.DirFS(users)
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if part := strings.Split(name, "/"); len(part) > 1 && (part[1] == "search" || part[1] == "tmp") {
			return nil
		}
		if strings.HasSuffix(name, "-wal") || strings.HasSuffix(name, "-shm") {
			return errors.New(filepath.Join(users, name) + " is left: the index was not closed")
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return add(path.Join("users", name), data)
	})
	return errors.Join(err, w.Close(), z.Close())
}
