package operations

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/oauth"
)

// Support is for who helps a person.
type Support interface {
	// Report makes a support bundle, without secrets and mail.
	Report(ctx context.Context) (Report, error)
}

// Report is a support bundle.
type Report struct {
	Name  string   `json:"name"` // of the file, with the time
	Zip   []byte   `json:"zip"`  // base64 in JSON
	Files []string `json:"files"`
}

// reportReadme says what is in a bundle.
const reportReadme = `A support bundle of popbridge. It has no password, no mail and no subject.

version.json  the program, Go, SQLite and the system
config.txt    the keys of the config file by their lines, without comments; paths,
              commands and pins are left out
status.json   what "popbridge status --json" says, without deletions
health.json   what is wrong, and since when
stores.json   how much mail each user has, and whether the index can be read
log.jsonl     the last records of the running agent; empty where none runs (then
              "popbridge logs" shows the log of the background service)

Names of accounts, users, devices and folders, user names at providers, mail addresses,
hosts and IP addresses are replaced by others such as account-1, the same one by the same
in all files of this bundle. Texts of servers are in the log as they are otherwise: look
through the files before you send them.
`

// Report asks no server and changes nothing.
func (l *Local) Report(ctx context.Context) (Report, error) {
	r := &reporter{Local: l, names: newPseudonyms(), out: &bytes.Buffer{}}
	r.zip = zip.NewWriter(r.out)
	entries, configErr := config.Entries(l.users.Config().Path)
	stores, err := r.learn(ctx, entries)
	if err != nil {
		return Report{}, err
	}
	records := r.learnRecords()
	r.add("README.txt", []byte(reportReadme))
	r.addJSON("version.json", versionOf())
	r.add("config.txt", r.config(entries, configErr))
	status, err := l.Status(ctx)
	if err != nil {
		return Report{}, err
	}
	health := status.Health
	status.Health = nil
	r.addJSON("status.json", r.plain(status))
	r.addJSON("health.json", r.plain(health))
	r.addJSON("stores.json", stores)
	r.add("log.jsonl", r.records(records))
	if err := errors.Join(r.err, r.zip.Close()); err != nil {
		return Report{}, err
	}
	return Report{Name: "popbridge-report-" + time.Now().Format("20060102-150405") + ".zip", Zip: r.out.Bytes(), Files: r.files}, nil
}

// reporter makes a report.
type reporter struct {
	*Local
	names *pseudonyms
	out   *bytes.Buffer
	zip   *zip.Writer
	files []string
	err   error // the first one
}

func (r *reporter) add(name string, data []byte) {
	w, err := r.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now()})
	if err == nil {
		_, err = w.Write(data)
	}
	r.err = errors.Join(r.err, err)
	r.files = append(r.files, name)
}

func (r *reporter) addJSON(name string, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	r.err = errors.Join(r.err, err)
	r.add(name, append(data, '\n'))
}

func versionOf() any {
	v := struct {
		Version
		System string `json:"system"`
		OS     string `json:"os,omitempty"`
		CPUs   int    `json:"cpus"`
	}{Version: BuildVersion(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}
	if data, err := os.ReadFile("/etc/os-release"); err == nil { // os-release(5)
		for line := range strings.Lines(string(data)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				v.OS = strings.Trim(name, `"'`)
			}
		}
	}
	return v
}

// storeReport is how much one user has.
type storeReport struct {
	User      string         `json:"user"`
	Mailboxes int            `json:"mailboxes"`
	Devices   int            `json:"devices"`
	Index     int64          `json:"index_bytes"`
	Error     string         `json:"error,omitempty"`
	Counts    map[string]any `json:"counts"` // of mailstore.Usage
}

// learn makes all names known, and looks into the stores.
func (r *reporter) learn(ctx context.Context, entries []config.Entry) ([]storeReport, error) {
	for _, e := range entries {
		if kind := kinds[lastKey(e.Path)]; strings.HasPrefix(e.Path, "account[") && kind != "" {
			for _, word := range words(e.Value) {
				r.name(kind, word)
			}
		}
	}
	for _, a := range r.users.Config().Accounts {
		r.name("account", a.Name)
		r.name("username", a.Username)
		r.name("host", a.Host)
		r.name("user", a.User)
		r.name("folder", a.Folder)
		r.name("file", a.Password.File)
		r.name("file", a.CAFile)
	}
	for _, o := range r.users.Config().OAuth {
		r.name("file", o.SecretFile)
		if !slices.Contains(oauth.Providers(), o.Name) {
			r.name("oauth", o.Name)
		}
	}
	if host, err := os.Hostname(); err == nil {
		r.names.name("this-machine", host)
	}
	r.name("folder-of-data", r.users.DataDir)
	r.name("folder-of-config", filepath.Dir(r.users.Config().Path))
	if home, err := os.UserHomeDir(); err == nil {
		r.name("home", home)
		r.name("person", filepath.Base(home))
	}
	users, err := r.users.Names()
	if err != nil {
		return nil, err
	}
	list := []storeReport{}
	for _, user := range users {
		one := storeReport{User: r.names.name("user", user)}
		if err := r.store(ctx, user, &one); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			one.Error = r.names.text(err.Error())
		}
		list = append(list, one)
	}
	return list, nil
}

// store reads the names and numbers of a store.
func (r *reporter) store(ctx context.Context, user string, one *storeReport) error {
	if info, err := os.Stat(filepath.Join(r.users.Dir(user), "index.db")); err == nil {
		one.Index = info.Size()
	}
	store, err := r.users.Store(ctx, user)
	if err != nil {
		return err
	}
	boxes, err := store.Mailboxes(ctx)
	for _, box := range boxes {
		r.names.name("folder", box.Name)
		for _, level := range strings.Split(box.Name, "/") {
			r.names.name("folder", level)
		}
	}
	devices, deviceErr := store.Devices(ctx)
	for _, d := range devices {
		r.names.name("device", d.Name)
	}
	one.Mailboxes, one.Devices = len(boxes), len(devices)
	usage, usageErr := store.Usage(ctx)
	one.Counts = counts(usage)
	return errors.Join(err, deviceErr, usageErr, store.Healthy(ctx))
}

func counts(u mailstore.Usage) map[string]any {
	return map[string]any{"messages": u.Messages, "bytes": u.Size, "expunged": u.Expunged, "fetched": u.Fetched, "contents": u.Contents, "missing": u.Missing}
}

func (r *reporter) name(kind, name string) string {
	if name == "" || name == "." || name == string(filepath.Separator) {
		return name
	}
	return r.names.address(kind, name)
}
