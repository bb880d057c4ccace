package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newLogsCommand() *cobra.Command {
	var follow, system bool
	var lines int
	c := &cobra.Command{
		Use:   "logs",
		Short: "Show the log of the background service",
		Long: "Shows the last lines of the log of the background service, wherever the system\n" +
			"keeps it: the journal of systemd, or a file. With -f it goes on until Ctrl-C.",
		Example: "  popbridge logs\n  popbridge logs -f",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.loggingService(system, c.Flags().Changed("system"))
			if err != nil {
				return err
			}
			if argv := s.LogCommand(lines, follow); argv != nil {
				return stopped(c.Context(), a.showJournal(c.Context(), argv))
			}
			return stopped(c.Context(), a.showLogFile(c.Context(), s.LogFile(), lines, follow))
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on as lines come")
	c.Flags().IntVarP(&lines, "lines", "n", 200, "how many of the last lines")
	c.Flags().BoolVar(&system, "system", false, "the service of the whole machine instead of this user's")
	return c
}

// loggingService finds the service whose log is meant.
func (a *app) loggingService(system, named bool) (*installer.Service, error) {
	o, err := a.serviceOptions(system)
	if err != nil {
		return nil, err
	}
	found := installer.Installed(o)
	for i, s := range found {
		if named && s.Runs().System != system {
			continue
		}
		if !named && i+1 < len(found) {
			_, err := installer.Find() // refuses to choose
			return s, err
		}
		return s, nil
	}
	return nil, fault.New(fault.NotFound, "there is no background service here, whose log could be shown",
		"an agent that was started by `popbridge run` logs where it was started: in its terminal, or where its init system or container keeps what programs print")
}

// showJournal runs journalctl.
func (a *app) showJournal(ctx context.Context, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = a.stdout, a.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return fault.Wrap(err, fault.NotFound, "the journal cannot be read", "install journalctl, which is part of systemd")
	case err != nil:
		return fault.Wrap(err, fault.Internal, "the journal cannot be read", "try it with sudo: sudo "+strings.Join(argv, " "))
	}
	return nil
}

const (
	followEvery = 500 * time.Millisecond
	maxTail     = 4 << 20 // octets of a log file that are looked at
)

// showLogFile prints the last lines of a file, and what is added to it or to the
// one that takes its place.
func (a *app) showLogFile(ctx context.Context, path string, lines int, follow bool) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "there is no log yet: "+path, "the service writes it once it has started: `popbridge start`")
	}
	if err != nil {
		return fault.Wrap(err, fault.Denied, "the log cannot be opened", "run it as the user of the service, or as administrator")
	}
	defer func() { _ = f.Close() }()
	if err := a.tailOf(f, lines); err != nil || !follow {
		return err
	}
	for {
		if _, err := io.Copy(a.stdout, f); err != nil {
			return fault.Wrap(err, fault.Internal, "the log cannot be read", "")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followEvery):
		}
		if next := replaced(f, path); next != nil {
			_, err = io.Copy(a.stdout, f) // what came before it was replaced
			_ = f.Close()
			if f = next; err != nil {
				return fault.Wrap(err, fault.Internal, "the log cannot be read", "")
			}
		}
	}
}

// tailOf prints the last lines of a file, and leaves it at its end.
func (a *app) tailOf(f *os.File, lines int) error {
	info, err := f.Stat()
	if err == nil {
		_, err = f.Seek(max(0, info.Size()-maxTail), io.SeekStart)
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(f)
	}
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the log cannot be read", "")
	}
	from := len(bytes.TrimSuffix(text, []byte("\n")))
	for range lines {
		if from = bytes.LastIndexByte(text[:max(from, 0)], '\n'); from < 0 {
			break
		}
	}
	a.printf("%s", text[min(from+1, len(text)):])
	return nil
}

// replaced returns the file that is at path now, nil where that is f still and has
// not become shorter.
func replaced(f *os.File, path string) *os.File {
	is, err := os.Stat(path)
	if err != nil {
		return nil // between two files
	}
	was, err := f.Stat()
	at, seekErr := f.Seek(0, io.SeekCurrent)
	if err == nil && seekErr == nil && os.SameFile(was, is) && is.Size() >= at {
		return nil
	}
	next, err := os.Open(path)
	if err != nil {
		return nil
	}
	return next
}
