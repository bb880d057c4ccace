// Command schemas makes a fixture of today's schema of the mail store: a folder of
// users as a program has left it, which mailstore and the test beside this open with
// every later program.
//
//	go run ./test/schemas -popbridge PROGRAM -out internal/mailstore/testdata/schemas/N.tar.gz
//
// PROGRAM is popbridge built from the last commit with schema N. It polls POP3 servers
// in this process, and IMAP clients change what it stored. What it shows by IMAP at the
// end is in the fixture as well, as shown.txt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

func main() {
	program := flag.String("popbridge", "", "the `PROGRAM` that makes the fixture")
	out := flag.String("out", "", "the `FILE` to write")
	flag.Parse()
	if err := run(*program, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// changes are what mail clients do to the mail of ann, in this order.
var changes = []string{
	`CREATE "Projekte/B&APw-cher und mehr"`, `CREATE Alt`, `CREATE Gone`, `DELETE Gone`,
	`SUBSCRIBE Alt`, `SUBSCRIBE "Projekte/B&APw-cher und mehr"`, `UNSUBSCRIBE Alt`,
	`SELECT INBOX`,
	`UID STORE 1,3 +FLAGS (\Seen)`, `UID STORE 2 +FLAGS (\Flagged \Answered $Label1)`, `UID STORE 4 +FLAGS (Wichtig $Label1)`, `UID STORE 3 -FLAGS (\Seen)`,
	`UID COPY 1:3 "Projekte/B&APw-cher und mehr"`, `UID MOVE 5 Alt`,
	`UID STORE 6:7 +FLAGS (\Deleted)`, `UID EXPUNGE 6:7`,
	`SELECT "Projekte/B&APw-cher und mehr"`, `UID STORE 2 +FLAGS (\Deleted)`,
}

func run(program, out string) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "popbridge-schema-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := newWorld(ctx, program, dir)
	if err != nil {
		return err
	}
	defer w.stop()
	w.deliver(false, "home", "work", "bob")
	if err := w.start(ctx); err != nil {
		return err
	}
	if _, err := rig.IMAP(rig.Addr(w.pop.Port), "ann", device, changes...); err != nil {
		return err
	}
	w.deliver(true, "home", "work", "bob") // a second poll, so that there is mail from before the changes and after them
	if err := w.sync(ctx); err != nil {
		return err
	}
	shown, err := w.shown()
	if err != nil {
		return err
	}
	if err := w.pop.Stop(); err != nil {
		return err
	}
	return pack(out, filepath.Join(w.pop.Data, "users"), strings.Join(shown, "\n")+"\n", time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
}
