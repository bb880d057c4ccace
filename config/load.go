package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// Load reads and checks a file. What is wrong in it comes as *Errors; a file
// that cannot be read is a fault of kind Config, too.
// One that others can change is a fault of kind Denied: password_command in it is
// run as this user.
func Load(path string) (*Config, error) {
	if f := ownership.Check(path, ownership.Options{}); f != nil && path != "" {
		return nil, fault.New(fault.Denied, "the config file "+path+" is not used, because others than this user can change it: "+f.Why, f.RunAs())
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Lines returns the line of every key of a file that can be read, by its path as
// in Problem.Key, for problems that are found outside the file.
func Lines(path string) map[string]int {
	data, err := readFile(path)
	if err != nil {
		return nil
	}
	doc, problem := parse(data)
	if problem != nil {
		return nil
	}
	return doc.lines
}

// Parse is Load for a file whose content is at hand. The path says where
// relative paths start; nothing is read.
func Parse(path string, data []byte) (*Config, error) {
	return thisSystem().parse(path, data)
}

var dataDirLine = regexp.MustCompile(`(?m)^[ \t]*data_dir[ \t]*=.*$`)

// DataDir returns the data folder that a file names, whatever else is wrong in
// it, so that an agent that goes on with its last good configuration can be
// asked what is the matter. Where the file does not say, it is the default.
func DataDir(path string) string {
	s := thisSystem()
	data, err := readFile(path)
	if err != nil {
		return s.dataDir()
	}
	doc, problem := parse(data)
	if problem != nil { // no TOML: look at the one line, above the first table
		top, _, _ := bytes.Cut(data, []byte("\n["))
		if doc, problem = parse(dataDirLine.Find(top)); problem != nil {
			return s.dataDir()
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return s.dataDir()
	}
	r := &reader{system: s, dir: filepath.Dir(abs), cfg: &Config{}}
	return r.dataDirOf(doc.table())
}

func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, fault.New(fault.Config, "no config file is named, and this user has no home folder to look in", "name one with --config FILE")
	}
	f, err := atomicfile.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if target, linkErr := os.Readlink(path); linkErr == nil {
			return nil, fault.New(fault.Config, "the config file "+path+" is a link to "+target+", which is not there", "put that file where the link leads, or remove the link")
		}
		return nil, fault.New(fault.Config, "there is no config file "+path,
			"run `popbridge setup`, write one (`popbridge check-config --help` shows an example), or name another one with --config FILE")
	}
	if atomicfile.IsHeld(err) {
		return nil, err
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the config file cannot be opened", "look at its permissions")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the config file cannot be read", "it must be a plain file: "+path)
	}
	return data, nil
}

func (s system) parse(path string, data []byte) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the path of the config file cannot be made absolute", "name the whole path with --config")
	}
	doc, problem := parse(data)
	if problem != nil {
		return nil, &Errors{File: path, Problems: []Problem{*problem}}
	}
	r := &reader{system: s, dir: filepath.Dir(abs), cfg: &Config{Path: abs}}
	r.root(doc.table())
	if len(doc.problems) > 0 {
		sortProblems(doc.problems)
		return nil, &Errors{File: path, Problems: doc.problems}
	}
	sortProblems(r.cfg.warnings)
	return r.cfg, nil
}

// reader fills a Config from a document.
type reader struct {
	system
	dir string // of the file
	cfg *Config
}

func (r *reader) root(t *table) {
	r.cfg.Version = Version
	if v, ok := take[int64](t, "version", "a whole number: version = 1"); ok && v != Version {
		if v > Version {
			// Whatever else is in the file, it is not known.
			t.doc.problems = nil
			t.report("version", &mistake{fmt.Sprintf("the file has version %d, this program knows %d", v, Version), "update popbridge"})
			return
		}
		t.report("version", &mistake{fmt.Sprintf("there is no version %d", v), "must be 1"})
	}
	t.unknown()
	r.cfg.DataDir, r.cfg.DataDirNamed = r.dataDirOf(t), t.has("data_dir")
	r.cfg.KeepExpunged = text(t, "keep_expunged", defaultExpire, `a duration in quotes, such as "30d"`, func(s string) (time.Duration, *mistake) {
		return readDuration(s, minExpire, maxExpire, "30d")
	})
	r.cfg.TimeZone = text(t, "timezone", "", `the name of a time zone in quotes, such as "Europe/Vienna"`, readZone)
	r.cfg.Notices = boolean(t, "notices", true)
	r.cfg.IMAP = readIMAP(t.sub("imap"))
	r.cfg.SMTP = readSMTP(t.sub("smtp"), r.cfg.IMAP)
	r.cfg.LAN = r.lan(t.sub("lan"))
	r.cfg.Web = readWeb(t.sub("web"))
	r.cfg.Log = readLog(t.sub("log"))
	r.cfg.OAuth = r.oauthTables(t)
	var seen accountsSeen
	accounts := t.subs("account")
	for _, sub := range accounts {
		a := r.account(sub)
		seen.check(sub, a)
		r.cfg.Accounts = append(r.cfg.Accounts, a)
	}
	for i, sub := range accounts {
		r.sharedAddresses(sub, r.cfg.Accounts[i])
	}
	if !t.has("account") {
		r.warn(t, "account", &mistake{"there is no account: no mail will be fetched", "`popbridge setup` adds one, and so does the web page: `popbridge open`"})
	}
}

func (r *reader) warn(t *table, key string, m *mistake) {
	r.cfg.warnings = append(r.cfg.warnings, Problem{t.lineOf(key), joinKey(t.path, key), m.text, m.hint})
}

// path reads a key that names a file or folder.
func (r *reader) path(t *table, key, def string) string {
	return text(t, key, def, "a path in quotes", func(s string) (string, *mistake) {
		if s == "" {
			return "", &mistake{"the path is empty", "write a path or delete the line"}
		}
		return r.resolve(r.dir, s)
	})
}

func (r *reader) dataDirOf(t *table) string {
	dir := r.path(t, "data_dir", r.dataDir())
	if dir == "" {
		t.report("data_dir", &mistake{"there is no default for it: the home folder of this user is not known", `set data_dir = "FOLDER"`})
	}
	return dir
}

func readIMAP(t *table) IMAP {
	t.unknown()
	return IMAP{TLS: oneOf(t, "tls", StartTLS, Implicit, Off), Listen: readListens(t, "127.0.0.1:1143", false)}
}

func readLog(t *table) Log {
	t.unknown()
	return Log{
		Level:  oneOf(t, "level", "info", "trace", "debug", "warn", "error"), // see Keys
		Format: oneOf(t, "format", "auto", "console", "json"),
	}
}

// The defaults and limits of an account.
const (
	defaultPoll        = 5 * time.Minute
	minPoll            = time.Second
	hastyPoll          = 30 * time.Second // below it there is a warning
	maxPoll            = 7 * day
	defaultUser        = "me" // not the system's user name: the same file must mean the same under a service
	defaultFolder      = "INBOX"
	defaultMessageSize = 200 * 1000 * 1000
)

// specialFolders are those of the store that have a role in mail programs (RFC 6154).
var specialFolders = []string{"Archive", "Drafts", "Junk", "Sent", "Trash"}

func (r *reader) account(t *table) Account {
	t.unknown()
	t.required("name", `give the account a short name: name = "home"`)
	t.required("host", `name the POP3 server: host = "pop.example.com"`)
	t.required("username", `the name to log in with: username = "ann@example.com"`)
	a := Account{
		Name:     text(t, "name", "", "text in quotes", readID),
		Host:     text(t, "host", "", "text in quotes", readHost),
		TLS:      oneOf(t, "tls", Implicit, StartTLS, None),
		Username: text(t, "username", "", "text in quotes", readUsername),
		Password: r.password(t),
		Auth:     oneOf(t, "auth", AuthPassword, AuthOAuth2, AuthAPOP),
		CAFile:   r.path(t, "ca_file", ""),
		Pins:     readPins(t),

		TLSMinimum: oneOf(t, "tls_minimum", TLS12, TLS11, TLS10),

		PollEvery: text(t, "poll_every", defaultPoll, `a duration in quotes, such as "5m"`, func(s string) (time.Duration, *mistake) {
			return readDuration(s, minPoll, maxPoll, "5m")
		}),
		User:   text(t, "user", defaultUser, "text in quotes", readID),
		Folder: text(t, "folder", defaultFolder, "text in quotes", readFolder),
		MaxMessageSize: text(t, "max_message_size", defaultMessageSize, `a size in quotes, such as "200MB"`, func(s string) (int64, *mistake) {
			return readSize(s, minMessageSize, maxMessageSize, `it can be from "1KB" to "4GB"`)
		}),
	}
	a.OAuth = r.signIn(t, a)
	a.Paused = boolean(t, "paused", false)
	r.retention(t, &a)
	usual := popPort
	if a.TLS == Implicit {
		usual = popsPort
	}
	a.Port = readPort(t, usual, "995 is usual with implicit TLS, 110 otherwise")
	a.Addresses = addresses(t, a.Username)
	send := t.sub("send")
	a.Send = r.send(send, a)
	a.OAuth = r.signInToSend(send, a)
	tokenGoes(send, a)
	if a.TLS == None && a.Host != "" && !isLoopback(a.Host) {
		r.warn(t, "tls", &mistake{"password and mail of account " + a.Name + " go over the network unencrypted", `use tls = "implicit" or "starttls" if the server has it`})
	}
	r.checkTLS(t, a)
	if slices.ContainsFunc(specialFolders, func(f string) bool { return strings.EqualFold(f, a.Folder) }) {
		r.warn(t, "folder", &mistake{"mail programs keep mail of their own kind in " + quote(a.Folder) + ", and some empty it by themselves", `write another folder, such as "INBOX" or "Work/Lists"`})
	}
	if a.PollEvery < hastyPoll {
		r.warn(t, "poll_every", &mistake{"many servers lock out whoever asks so often", "use 1m or more"})
	}
	return a
}

func readPort(t *table, usual int, hint string) int {
	port, ok := take[int64](t, "port", "a whole number without quotes")
	switch {
	case !ok:
		return usual
	case port < 1 || port > 65535:
		t.report("port", &mistake{fmt.Sprintf("%d is not a port (1 to 65535)", port), hint})
		return 0
	}
	return int(port)
}

func (r *reader) password(t *table) PasswordSource {
	const want = `a list: ["pass", "show", "home"]`
	src := PasswordSource{File: r.path(t, "password_file", "")}
	words, isList := take[[]any](t, "password_command", want)
	for i, w := range words {
		s, ok := w.(string)
		if !ok || strings.ContainsRune(s, 0) {
			path := fmt.Sprintf("%s[%d]", joinKey(t.path, "password_command"), i+1)
			t.reportAt(path, &mistake{"is not text that could be an argument", "must be text in quotes"})
			return PasswordSource{}
		}
		src.Command = append(src.Command, s)
	}
	switch {
	case isList && (len(src.Command) == 0 || src.Command[0] == ""):
		t.report("password_command", &mistake{"no program is named", "must be " + want})
	case t.has("password_file") && t.has("password_command"):
		t.report("password_command", &mistake{"password_file is set as well", "keep one of the two"})
	}
	return src
}

// The usual ports of POP3, in the clear or with STLS, and over TLS (RFC 8314).
const (
	popPort  = 110
	popsPort = 995
)

// accountsSeen finds what two accounts may not share.
type accountsSeen struct {
	names, users, boxes map[string]string // what was seen -> the account, or the way it was written
}

func (s *accountsSeen) check(t *table, a Account) {
	if s.names == nil {
		s.names, s.users, s.boxes = map[string]string{}, map[string]string{}, map[string]string{}
	}
	if first, twice := s.names[strings.ToLower(a.Name)]; twice && a.Name != "" {
		t.report("name", &mistake{fmt.Sprintf("%s is also the name of %s", quote(a.Name), first), "names must differ in more than upper and lower case"})
	}
	if first, twice := s.users[strings.ToLower(a.User)]; twice && first != a.User {
		t.report("user", &mistake{fmt.Sprintf("%s and %s differ only in case", quote(a.User), quote(first)), "write it the same way in both accounts, or choose another name"})
	}
	port := a.Port
	if port == popPort { // two doors to one mailbox
		port = popsPort
	}
	box := fmt.Sprintf("%s\x00%s\x00%d", a.Username, a.Host, port)
	if first, twice := s.boxes[box]; twice && a.Host != "" && a.Username != "" && a.Port > 0 {
		t.report("host", &mistake{"this is the same mailbox as that of " + first, "a POP3 mailbox allows one session at a time: have one account for it"})
	}
	label := t.path
	if a.Name != "" {
		label = "account " + quote(a.Name)
	}
	s.names[strings.ToLower(a.Name)], s.users[strings.ToLower(a.User)], s.boxes[box] = t.path, a.User, label
}
