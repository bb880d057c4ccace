package operations

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/config"
)

// kinds are the keys of an account whose values are names, and what they are replaced by.
var kinds = map[string]string{"name": "account", "host": "host", "username": "username", "user": "user", "folder": "folder",
	"password_file": "file", "ca_file": "file", "password_command": "word"}

// shown are the keys whose values are in a report.
var shown = []string{"version", "keep_expunged", "timezone", "notices", "listen", "tls", "enabled", "level", "format", "port", "auth", "tls_minimum",
	"poll_every", "keep_on_server", "quota", "confirm_deletes", "shadow", "paused", "delete_on_server", "delete_grace", "max_message_size",
	"name", "host", "username", "user", "folder", "provider", "pkce"}

var (
	quoted    = regexp.MustCompile(`"[^"]*"`)
	plainPath = regexp.MustCompile(`^[a-z_]+(\[\d+\])?(\.[a-z_]+(\[\d+\])?)?$`)
)

// config is the config file without what is secret or personal: an unknown key, or a
// wrong value, may be a secret at the wrong place.
func (r *reporter) config(entries []config.Entry, err error) []byte {
	var b bytes.Buffer
	problems := map[string]bool{}
	if _, loadErr := config.Load(r.users.Config().Path); err == nil {
		err = loadErr
	}
	if found, ok := errors.AsType[*config.Errors](err); ok {
		for _, p := range found.Problems {
			problems[p.Key] = true
			key := p.Key
			if !plainPath.MatchString(key) {
				key = "a key"
			}
			fmt.Fprintf(&b, "# line %d, %s: %s\n", p.Line, key, r.names.text(quoted.ReplaceAllString(p.Text, `"..."`)))
		}
	} else if err != nil {
		fmt.Fprintf(&b, "# %s\n", r.names.text(err.Error()))
	}
	for _, e := range entries {
		key, value := lastKey(e.Path), "(set)"
		kind := kinds[key]
		switch {
		case problems[e.Path]:
			value = "(not valid)"
		case !slices.Contains(shown, key):
		case kind != "" && strings.HasPrefix(e.Path, "account["):
			value = r.names.name(kind, fmt.Sprint(e.Value))
		default:
			value = r.names.text(fmt.Sprint(e.Value))
		}
		path := e.Path
		if strings.HasPrefix(path, "oauth.") && config.OAuthKey(key) {
			path = "oauth.NAME." + key
		} else if !known(path) {
			path = "(a key that is not known)"
		}
		fmt.Fprintf(&b, "%4d  %s = %s\n", e.Line, path, value)
	}
	return b.Bytes()
}

// known reports whether the path is one of the schema, by its form and the keys of config.
func known(path string) bool {
	if strings.HasPrefix(path, "account[") {
		_, key, ok := strings.Cut(path, "].")
		return ok && config.AccountKey(key)
	}
	return path == "version" || slices.ContainsFunc(config.Keys, func(k config.Key) bool { return k.Path == path })
}

// lastKey is the last part of a path.
func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// words are the texts of a value.
func words(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			list = append(list, words(one)...)
		}
	}
	return list
}

// learnRecords reads the log, and makes the names in it known: of accounts that have gone
// since, and of users that there never were.
func (r *reporter) learnRecords() (list []map[string]any) {
	kept, _ := r.log.After(0)
	for _, one := range kept {
		var record map[string]any
		if json.Unmarshal(one.JSON, &record) != nil {
			continue
		}
		list = append(list, record)
		for key, value := range record {
			text, _ := value.(string)
			if key == "source" { // of a condition: "account home"
				key, text, _ = strings.Cut(text, " ")
			}
			if naming[key] != "" && text != "" {
				r.names.name(naming[key], text)
			}
		}
	}
	return list
}

// records are lines of JSON.
func (r *reporter) records(list []map[string]any) []byte {
	var b bytes.Buffer
	for _, record := range list {
		line, err := json.Marshal(r.clean("", record))
		r.err = errors.Join(r.err, err)
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

// plain is a result as JSON values, without names and mail.
func (r *reporter) plain(v any) any {
	data, err := json.Marshal(v)
	var plain any
	if err == nil {
		err = json.Unmarshal(data, &plain)
	}
	r.err = errors.Join(r.err, err)
	return r.clean("", plain)
}

// Of results and records: what is about a message is left out, what is ours is as it is,
// and names are replaced as such. All other texts may have names in them.
var (
	left     = []string{"deletions", "subject", "from", "to", "uidl", "what", "secret"}
	verbatim = []string{"level", "time", "component", "message", "code", "severity", "state", "phase", "operation", "stack", "since", "last_success", "next_poll", "next", "at"}
	naming   = map[string]string{"account": "account", "name": "account", "user": "user", "folder": "folder", "mailbox": "folder", "device": "device", "username": "username", "host": "host"}
)

func (r *reporter) clean(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, one := range v {
			if !slices.Contains(left, k) {
				out[k] = r.clean(k, one)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			out[i] = r.clean(key, one)
		}
		return out
	case string:
		switch {
		case slices.Contains(verbatim, key):
			return v
		case naming[key] != "":
			return r.names.name(naming[key], v)
		}
		return r.names.text(v)
	}
	return v
}
