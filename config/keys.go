package config

import (
	"fmt"
	"strings"
)

// Key is a key of the config outside of the accounts, with its documentation.
type Key struct {
	Path    string // "timezone", "log.level"
	Doc     string
	Default string   // what holds without it, as a person types it; "" where that depends on the machine
	Choices []string // all that it may be; nil: not a choice
	Bool    bool     // true or false
	// Fixed says why no web page may set it, "" where one may.
	Fixed string
	// Restart says that a change holds once the agent is started again.
	Restart bool

	example string // its value in Example, as TOML
	off     bool   // it is a comment there
}

// Why no web page may set a key.
const (
	fixedPath   = "a browser chooses no folder of this machine"
	fixedListen = "a browser does not decide who can connect"
)

// Keys are all keys but version and those of accounts, in the order of Example.
var Keys = []Key{
	{Path: "data_dir", Doc: "where mail is kept; default: the system's own data folder", Fixed: fixedPath, Restart: true, example: `"/path/to/folder"`, off: true},
	{Path: "keep_expunged", Doc: `so long "popbridge undelete" can bring back what was deleted`, Default: "30d", Restart: true, example: `"30d"`, off: true},
	{Path: "timezone", Doc: "for searches by day, and times of arrival; default: the machine's", example: `"Europe/Vienna"`, off: true},
	{Path: "notices", Doc: "a message in INBOX when mail stops flowing or something needs you", Default: "true", Bool: true, example: `true`, off: true},
	{Path: "imap.listen", Doc: "where mail programs connect; this machine only", Default: "127.0.0.1:1143", Fixed: fixedListen, example: `["127.0.0.1:1143"]`},
	{Path: "imap.tls", Doc: "how they are protected", Default: "starttls", Choices: []string{"starttls", "implicit", "off"}, Fixed: fixedListen, example: `"starttls"`},
	{Path: "smtp.listen", Doc: "where mail programs send; this machine only; [] switches it off", Default: "127.0.0.1:1587", Fixed: fixedListen, example: `["127.0.0.1:1587"]`, off: true},
	{Path: "smtp.tls", Doc: "how that is protected; default: as imap.tls", Choices: []string{"starttls", "implicit", "off"}, Fixed: fixedListen, example: `"starttls"`, off: true},
	{Path: "smtp.send_delay", Doc: "so long what was sent can be taken back, by deleting it in Outbox", Default: "0s", example: `"10s"`, off: true},
	{Path: "smtp.mark_answered", Doc: "an answer that was sent marks what it answers", Default: "true", Bool: true, example: `true`, off: true},
	{Path: "lan.enabled", Doc: "phones and other machines in the same network may connect", Default: "false", Bool: true, Fixed: fixedListen, example: `true`, off: true},
	{Path: "lan.listen", Doc: `addresses of this machine, or interfaces: "eth0:1993"`, Fixed: fixedListen, example: `["192.168.1.20:1993"]`, off: true},
	{Path: "lan.smtp_port", Doc: "the port there by which they send; 0: by none", Default: "1465", Fixed: fixedListen, example: `1465`, off: true},
	{Path: "web.listen", Doc: `the web page, see "popbridge open"; "off" switches it off`, Default: "127.0.0.1:1180", Fixed: fixedListen, example: `"127.0.0.1:1180"`, off: true},
	{Path: "log.level", Doc: "how much is logged", Default: "info", Choices: []string{"trace", "debug", "info", "warn", "error"}, example: `"info"`},
	{Path: "log.format", Doc: "for people, for programs, or as it fits", Default: "auto", Choices: []string{"auto", "console", "json"}, Restart: true, example: `"auto"`},
}

// names are the keys of a table, "" for those before the first one.
func names(table string) (list []string) {
	for _, k := range Keys {
		if t, name := splitPath(k.Path); t == table {
			list = append(list, name)
		}
	}
	return list
}

// splitPath returns the table of a key, "" for none, and its name there.
func splitPath(path string) (table, name string) {
	if table, name, ok := strings.Cut(path, "."); ok {
		return table, name
	}
	return "", path
}

// exampleComments is the column of comments in Example.
const exampleComments = 35

// exampleKeys is the part of Example before the accounts.
func exampleKeys() string {
	b := strings.Builder{}
	b.WriteString("version = 1\n\n")
	table := ""
	for _, k := range Keys {
		mark := ""
		if k.off {
			mark = "# "
		}
		t, name := splitPath(k.Path)
		width := len(name)
		if t != table {
			fmt.Fprintf(&b, "\n%s[%s]\n", mark, t)
			table = t
		}
		if t != "" {
			for _, n := range names(t) {
				width = max(width, len(n))
			}
		}
		doc := k.Doc
		if k.Choices != nil {
			doc += ": " + list(k.Choices)
		}
		fmt.Fprintf(&b, "%-*s# %s\n", exampleComments, fmt.Sprintf("%s%-*s = %s", mark, width, name, k.example), doc)
	}
	return b.String()
}
