package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// entry is a file that is put somewhere.
type entry struct {
	path string // in the archive or package, with slashes
	from string // on this disk
	mode fs.FileMode
}

// archives writes one for each platform, with everything in one folder.
func (r *release) archives(context.Context) error {
	for _, t := range r.targets {
		end, write := ".tar.gz", writeTar
		if t.os == "windows" {
			end, write = ".zip", writeZip
		}
		entries, err := r.contents(t)
		if err != nil {
			return err
		}
		folder := r.name(t, "")
		for i := range entries {
			entries[i].path = path.Join(folder, entries[i].path)
		}
		file, err := os.Create(filepath.Join(r.out, folder+end))
		if err != nil {
			return err
		}
		if err = errors.Join(write(r, file, entries), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// contents is what an archive for a platform has.
func (r *release) contents(t target) ([]entry, error) {
	program := r.program(t)
	entries := []entry{
		{filepath.Base(program), program, 0o755},
		{"README.md", "README.md", 0o644}, {"CHANGELOG.md", "CHANGELOG.md", 0o644}, {"LICENSE", "LICENSE", 0o644},
		{"THIRD-PARTY-LICENSES.txt", r.licenceFile(), 0o644}, {"popbridge.cdx.json", r.materialsFile(t), 0o644},
	}
	if t.os == "darwin" {
		entries = append(entries, entry{"install.sh", "cmd/packages/install.sh", 0o755})
		entries = append(entries, r.parts()...)
	}
	folders := []string{"completions"}
	if t.os != "windows" {
		folders = append(folders, "man")
	}
	for _, name := range folders {
		files, err := filepath.Glob(filepath.Join(r.work, name, "*"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			entries = append(entries, entry{name + "/" + filepath.Base(file), file, 0o644})
		}
	}
	return entries, nil
}

func writeTar(r *release, w io.Writer, entries []entry) error {
	gz, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(gz)
	for _, e := range entries {
		data, err := os.ReadFile(e.from)
		if err != nil {
			return err
		}
		err = tw.WriteHeader(&tar.Header{Name: e.path, Mode: int64(e.mode), Size: int64(len(data)), ModTime: r.date, Format: tar.FormatPAX})
		if err != nil {
			return err
		}
		if _, err := tw.Write(data); err != nil {
			return err
		}
	}
	return errors.Join(tw.Close(), gz.Close())
}

func writeZip(r *release, w io.Writer, entries []entry) error {
	zw := zip.NewWriter(w)
	for _, e := range entries {
		data, err := os.ReadFile(e.from)
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Name: e.path, Method: zip.Deflate, Modified: r.date}
		h.SetMode(e.mode)
		f, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := f.Write(data); err != nil {
			return err
		}
	}
	return zw.Close()
}

// checksums writes SHA256SUMS, as `sha256sum -c` reads it.
func (r *release) checksums(context.Context) error {
	sums, err := r.sums()
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		text.WriteString(sums[name] + "  " + name + "\n")
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(text.String()), 0o644)
}

// sums are the SHA-256 of the files of the release by their names.
func (r *release) sums() (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(r.out, "popbridge*"))
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		sums[filepath.Base(name)] = hex.EncodeToString(sum[:])
	}
	return sums, nil
}
