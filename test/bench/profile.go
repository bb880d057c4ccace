package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/testkit/ports"
	"github.com/popbridge/popbridge/test/rig"
)

// profileFor is how long a profile of the processor is taken.
const profileFor = 5 * time.Second

// profile takes a profile of the processor for each command, which is repeated
// meanwhile. The binary has to be built with the tag pprof.
func (l *lab) profile(ctx context.Context) error {
	ports, err := ports.Free(1)
	if err != nil {
		return err
	}
	l.p.Env = append(l.p.Env, "POPBRIDGE_PPROF="+rig.Addr(ports[0]))
	if err := l.restart(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(l.profiles, 0o755); err != nil {
		return err
	}
	c, err := dial(ctx, l.p.Port, devicePassword)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, cmd := range commands(l.n) {
		file := filepath.Join(l.profiles, strings.ReplaceAll(cmd.name, " ", "-")+".pprof")
		done := make(chan error, 1)
		go func() { done <- takeProfile(ctx, ports[0], file) }()
		for start := time.Now(); time.Since(start) < profileFor; {
			if _, err := cmd.time(c); err != nil {
				return err
			}
		}
		if err := <-done; err != nil {
			return fmt.Errorf("%s: %w; was the binary built with -tags pprof?", cmd.name, err)
		}
		fmt.Fprintln(l.out, "go tool pprof -top", l.binary, file)
	}
	return nil
}

func takeProfile(ctx context.Context, port int, file string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", rig.Addr(port), profileFor.Seconds())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o644)
}
