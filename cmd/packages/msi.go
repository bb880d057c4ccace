package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// identities is the name space of the GUIDs in the .msi. What is derived from it stays
// the same for ever: Windows knows popbridge, and each of its parts, by these.
var identities = uuid.MustParse("8c6ff2b4-6a0c-4b5e-9d0b-0a2f7a3c51de")

// guid is the GUID of something, as the tables of a .msi have it.
func guid(what ...string) string {
	return "{" + strings.ToUpper(uuid.NewSHA1(identities, []byte(strings.Join(what, "\n"))).String()) + "}"
}

// productCode is that of this release for one platform. A release of another commit is
// another product, which takes the place of this one.
func (r *release) productCode(t target) string {
	return guid("product", r.version, r.commit, t.arch)
}

// msiVersion is the version as Windows compares it: three numbers of 8, 8 and 16 bits
// (Property ProductVersion). Between pre-releases of a version, and it, nothing is newer.
func (r *release) msiVersion() (string, error) {
	version, _, _ := strings.Cut(r.version, "-")
	for i, number := range strings.Split(version, ".") {
		bits := 8
		if i == 2 {
			bits = 16
		}
		if _, err := strconv.ParseUint(number, 10, bits); err != nil {
			return "", fmt.Errorf("version %s: Windows compares versions up to 255.255.65535", r.version)
		}
	}
	return version, nil
}

// msiTools are the programs that make a .msi, and the Debian packages that they are in.
var msiTools = map[string]string{"msibuild": "msitools", "gcab": "gcab"}

// installers writes a .msi for each Windows. Without the tools it says so, and that is
// all: the other files of a release are as good without.
func (r *release) installers(ctx context.Context) error {
	for name, pkg := range msiTools {
		if _, err := exec.LookPath(name); err != nil {
			fmt.Printf("  no .msi is made, and winget gets no manifest: %s is not installed (apt-get install %s)\n", name, pkg)
			return nil
		}
	}
	for _, t := range r.targets {
		if t.os != "windows" {
			continue
		}
		if err := r.installer(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// installer writes the .msi for a platform: tables as text, which msibuild puts into a
// database, and the files in a cabinet.
func (r *release) installer(ctx context.Context, t target) error {
	work := filepath.Join(r.work, "msi-"+t.arch)
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	files, err := r.msiFiles(t, work)
	if err != nil {
		return err
	}
	cabinet := []string{"--create", "--zip", "--nopath", filepath.Join(work, cabinetName)}
	for _, f := range files {
		cabinet = append(cabinet, filepath.Join(work, f.key))
	}
	if err := inUTC(ctx, "gcab", cabinet); err != nil {
		return err
	}
	tables, err := r.msiTables(t, files)
	if err != nil {
		return err
	}
	args := []string{filepath.Join(r.out, r.name(t, ".msi"))}
	for _, table := range tables {
		path := filepath.Join(work, table.name+".idt")
		if err := os.WriteFile(path, []byte(table.text()), 0o644); err != nil {
			return err
		}
		args = append(args, "-i", path)
	}
	args = append(args, "-a", cabinetName, filepath.Join(work, cabinetName))
	if err := inUTC(ctx, "msibuild", args); err != nil {
		return err
	}
	return r.sign(ctx, args[0])
}

const cabinetName = "files.cab"

// A msiFile is a file that the .msi installs.
type msiFile struct {
	key, short, long string // key is its name in the cabinet
	size             int64
}

// msiFiles puts the files of an archive, without the folders of it, where the cabinet
// is made from, with the time of the commit.
func (r *release) msiFiles(t target, work string) ([]msiFile, error) {
	entries, err := r.contents(t)
	if err != nil {
		return nil, err
	}
	var files []msiFile
	for _, e := range entries {
		if strings.Contains(e.path, "/") {
			continue
		}
		data, err := os.ReadFile(e.from)
		if err != nil {
			return nil, err
		}
		f := msiFile{key: fmt.Sprintf("file%d", len(files)), long: e.path, size: int64(len(data))}
		if filepath.Ext(f.long) == "" {
			f.long += ".txt" // so that a double click shows it
		}
		end := strings.ToUpper(filepath.Ext(f.long))
		f.short = fmt.Sprintf("POP%d%s", len(files), end[:min(len(end), len(".TXT"))])
		to := filepath.Join(work, f.key)
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return nil, err
		}
		if err := os.Chtimes(to, r.date, r.date); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// inUTC runs a command that writes or reads local times.
func inUTC(ctx context.Context, name string, args []string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	return runCommand(cmd)
}
