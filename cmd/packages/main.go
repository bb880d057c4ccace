// Command packages makes what popbridge is installed from: archives for six
// platforms, packages for Linux, a .msi for Windows, manifests for package managers,
// checksums, and a bill of materials with the licences of everything in the program. It
// needs Go and git, a clean checkout, the tools pinned in tools/go.mod, and for the .msi
// those of msiTools.
//
// The same commit and version give the same bytes: nothing of the time, the machine
// or the path of the build goes into a file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "dist", "the `DIR` to write to; it is emptied first")
	version := flag.String("version", "", "the `VERSION`, as 1.2.3; empty: the tag of the commit, or 0.0.0 with its time")
	only := flag.String("only", "", "one `OS/ARCH` instead of all, without manifests")
	signer := flag.String("sign", "", "a `COMMAND` that signs the file that is its last argument, for the programs and the .msi of Windows")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *version, *only, strings.Fields(*signer)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// release is what is packaged.
type release struct {
	version string    // 1.2.3, or 0.0.0-20260102150405-0123456789ab between releases
	commit  string    // of git, 40 hex digits
	date    time.Time // of the commit, UTC
	out     string    // where the files go
	work    string    // a temporary folder
	targets []target  // what it is for
	signer  []string  // a command that signs what Windows runs, without the file; empty: nothing is signed
}

// platforms are those of a release, as Go names them.
var platforms = []target{
	{"windows", "amd64"}, {"windows", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"},
}

type target struct{ os, arch string }

type step struct {
	name string
	do   func(context.Context) error
}

func run(ctx context.Context, out, version, only string, signer []string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "popbridge-packages")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what stays there is in no one's way
	r, err := newRelease(ctx, version)
	if err != nil {
		return err
	}
	r.out, r.work, r.targets, r.signer = out, work, platforms, signer
	if only != "" {
		r.targets = slices.DeleteFunc(slices.Clone(platforms), func(t target) bool { return t.os+"/"+t.arch != only })
		if len(r.targets) == 0 {
			return fmt.Errorf("%q is no platform of a release; write it as linux/amd64", only)
		}
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	steps := []step{
		{"man pages and completions", r.reference}, {"licences", r.licences}, {"programs", r.programs}, {"bill of materials", r.materials},
		{"application for macOS", r.application}, {"archives", r.archives}, {"packages for Linux", r.linux}, {"installers for Windows", r.installers},
		{"container images", r.images}, {"checksums", r.checksums},
	}
	if only == "" {
		steps = append(steps, step{"manifests", r.manifests})
	}
	for _, s := range steps {
		fmt.Println(s.name)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// newRelease asks git what is packaged.
func newRelease(ctx context.Context, version string) (*release, error) {
	commit, err := output(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	seconds, err := output(ctx, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return nil, err
	}
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, err
	}
	r := &release{version: version, commit: commit, date: time.Unix(at, 0).UTC()}
	if r.version == "" {
		if tag, err := output(ctx, "git", "describe", "--tags", "--exact-match"); err == nil {
			r.version = strings.TrimPrefix(tag, "v")
		} else {
			r.version = "0.0.0-" + r.date.Format("20060102150405") + "-" + commit[:12]
		}
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(r.version) {
		return nil, fmt.Errorf("%q is no version; write it as 1.2.3", r.version)
	}
	return r, nil
}

// name is that of a file of this release.
func (r *release) name(t target, end string) string {
	return fmt.Sprintf("popbridge_%s_%s_%s%s", r.version, t.os, t.arch, end)
}

// program is where the program for a platform is built.
func (r *release) program(t target) string {
	name := "popbridge"
	if t.os == "windows" {
		name += ".exe"
	}
	return filepath.Join(r.work, t.os+"-"+t.arch, name)
}

func (r *release) programs(ctx context.Context) error {
	for _, t := range r.targets {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
			"-ldflags=-s -w -buildid= -X github.com/popbridge/popbridge/agent/operations.version="+r.version+
				" -X github.com/popbridge/popbridge/agent/operations.commit="+r.commit+
				" -X github.com/popbridge/popbridge/agent/operations.date="+r.date.Format(time.RFC3339),
			"-o", r.program(t), "./cmd/popbridge")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch)
		if err := runCommand(cmd); err != nil {
			return err
		}
		if t.os != "windows" {
			continue
		}
		if err := r.describe(ctx, r.program(t)); err != nil {
			return err
		}
		if err := r.sign(ctx, r.program(t)); err != nil {
			return err
		}
	}
	return nil
}

// output is what a command prints, without the end of the line.
func output(ctx context.Context, name string, args ...string) (string, error) {
	text, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(text)), nil
}

// runCommand runs a command; what it printed is in the error.
func runCommand(cmd *exec.Cmd) error {
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
	}
	return nil
}

// tool runs one of those pinned in tools/go.mod. It is built for this machine,
// whatever env says of the platform that it works for.
func (r *release) tool(ctx context.Context, env []string, pkg string, args ...string) error {
	path := filepath.Join(r.work, filepath.Base(pkg))
	if _, err := os.Stat(path); err != nil {
		if err := runCommand(exec.CommandContext(ctx, "go", "build", "-modfile=tools/go.mod", "-o", path, pkg)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	return runCommand(cmd)
}
