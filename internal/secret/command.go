package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// commandTimeout is long enough to type a passphrase.
const commandTimeout = 30 * time.Second

// runCommand runs a program without a terminal and without a shell. Its first
// line is the secret, so that `pass`, which keeps notes below it, works as it is.
func runCommand(ctx context.Context, argv []string, timeout time.Duration) (Secret, error) {
	where := "password_command " + fault.Quote(argv[0])
	if os.Geteuid() == 0 {
		if f := changeable(argv); f != nil {
			return "", fault.New(fault.Config, where+" is not run as root, because others than root can change it: "+f.Why, f.Hint)
		}
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stdout, stderr := head{max: maxRead}, head{max: 4 << 10}
	cmd := exec.CommandContext(limited, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // what it started may hold the pipes open
	err := cmd.Run()

	line, _, _ := strings.Cut(decode([]byte(stdout.String())), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: %w", where, context.Cause(ctx))
	case limited.Err() != nil:
		return "", fault.New(fault.Temporary, fmt.Sprintf("%s did not end within %s", where, timeout), "it must print the password without asking for anything")
	case errors.Is(err, exec.ErrNotFound):
		return "", fault.Wrap(err, fault.Config, where+" is not a program that can be found", "write its whole path; a service has a shorter PATH than a shell")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", fault.Wrap(err, fault.Temporary, where+" failed"+said(stderr.String(), line), "run the command by hand to see what is wrong")
	}
	if line == "" {
		return "", fault.New(fault.Config, where+" printed no password"+said(stderr.String(), ""), "the first line it prints must be the password")
	}
	return clean(line, "the first line of "+where)
}

// changeable is what lets others change the program, or a file among its arguments,
// which may be what it runs.
func changeable(argv []string) *ownership.Finding {
	paths := slices.DeleteFunc(slices.Clone(argv[1:]), func(arg string) bool { return !filepath.IsAbs(arg) })
	if program, err := exec.LookPath(argv[0]); err == nil {
		paths = append(paths, program)
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if f := ownership.Check(path, ownership.Options{}); f != nil {
			return f
		}
	}
	return nil
}

// said is what the program complained about, without the secret if it repeated
// that.
func said(stderr, secret string) string {
	stderr = strings.TrimSpace(stderr)
	if secret != "" {
		stderr = strings.ReplaceAll(stderr, secret, mask)
	}
	if stderr == "" {
		return ""
	}
	return ", saying " + fault.Quote(stderr)
}

// head keeps the beginning of what is written to it.
type head struct {
	strings.Builder
	max int
}

func (h *head) Write(p []byte) (int, error) {
	h.Builder.Write(p[:min(len(p), h.max-h.Len())])
	return len(p), nil
}
