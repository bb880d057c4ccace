package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// xapianPlugin is where Debian's dovecot-fts-xapian puts it.
const xapianPlugin = "/usr/lib/dovecot/modules/lib21_fts_xapian_plugin.so"

// xapianSettings are those of the plugin's own documentation.
const xapianSettings = `
mail_plugins = $mail_plugins fts fts_xapian
plugin {
  fts = xapian
  fts_xapian = partial=3 full=20 verbose=0
  fts_enforced = yes
}
`

// xapian searches in bodies beside a Dovecot with the plugin fts_xapian, both with
// their index ready.
func xapian(ctx context.Context, o options, t *table, dir string) error {
	if found, _ := filepath.Glob(xapianPlugin); len(found) == 0 { // the pattern is a constant
		fmt.Fprintln(t.out, "\nno search beside fts_xapian: "+xapianPlugin+" is not installed")
		return nil
	}
	for _, n := range o.sizes {
		if err := xapianAt(ctx, o, t, dir, n); err != nil {
			return err
		}
	}
	return nil
}

func xapianAt(ctx context.Context, o options, t *table, dir string, n int) (err error) {
	l, err := newLab(ctx, o, t, dir, n, message, xapianSettings)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, l.close()) }()
	index := exec.CommandContext(ctx, "doveadm", "-c", filepath.Join(l.d.Dir, "dovecot.conf"), "index", "-u", "bench", "INBOX")
	if text, err := index.CombinedOutput(); err != nil {
		return fmt.Errorf("doveadm index: %w: %s", err, text)
	}
	if err := l.start(ctx); err != nil {
		return err
	}
	ours, theirs, err := l.both(ctx)
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	if err := l.indexed(ours); err != nil {
		return err
	}
	return l.words("search in bodies, beside Dovecot with fts_xapian", "", 1, 1, l.rounds, ours, theirs)
}
