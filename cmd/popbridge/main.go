// Command popbridge polls POP3 accounts, keeps their mail on local disk and
// shows it to every mail client of this machine through a loopback IMAP server.
package main

import (
	"os"

	"github.com/popbridge/popbridge/agent/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
