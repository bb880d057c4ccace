package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

func quote(s string) string { return fault.Quote(s) }

func (d *document) table() *table { return &table{doc: d, values: d.root} }

// sub returns the named table, an empty one when it is absent or no table.
func (t *table) sub(key string) *table {
	name := key
	if t.kind != "" {
		name = t.kind + "." + key
	}
	values, _ := take[map[string]any](t, key, fmt.Sprintf("a table, written as a line [%s]", name))
	return &table{doc: t.doc, kind: key, path: joinKey(t.path, key), line: t.lineOf(key), values: values}
}

// subs returns the elements of an array of tables.
func (t *table) subs(key string) []*table {
	want := fmt.Sprintf("a table with two brackets, [[%s]]", key)
	elements, _ := take[[]any](t, key, want)
	var subs []*table
	for i, e := range elements {
		path := fmt.Sprintf("%s[%d]", joinKey(t.path, key), i+1)
		sub := &table{doc: t.doc, kind: key, path: path, line: t.doc.lines[path]}
		var ok bool
		if sub.values, ok = e.(map[string]any); !ok {
			t.reportAt(path, &mistake{"is " + typeName(e), "must be " + want})
			continue
		}
		subs = append(subs, sub)
	}
	return subs
}

// lineOf returns the line of a key, or that of the table when it is absent.
func (t *table) lineOf(key string) int {
	if line := t.doc.lines[joinKey(t.path, key)]; line > 0 {
		return line
	}
	return max(t.line, 1)
}

// report adds a problem with the value of a key.
func (t *table) report(key string, m *mistake) {
	t.doc.problems = append(t.doc.problems, Problem{t.lineOf(key), joinKey(t.path, key), m.text, m.hint})
}

// reportAt adds a problem with an element of a list.
func (t *table) reportAt(path string, m *mistake) {
	t.doc.problems = append(t.doc.problems, Problem{max(t.doc.lines[path], 1), path, m.text, m.hint})
}

func (t *table) has(key string) bool { _, ok := t.values[key]; return ok }

// take returns the value of a key, and false when it is absent or, which is
// reported, not of the type T. The value itself is not shown: what stands in
// the wrong place may be a secret.
func take[T any](t *table, key, want string) (T, bool) {
	v, present := t.values[key]
	got, ok := v.(T)
	if present && !ok {
		t.report(key, &mistake{"is " + typeName(v), "must be " + want})
	}
	return got, ok
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64:
		return "a whole number"
	case float64:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// text reads a key whose value is text and has a meaning. A key that is absent
// or wrong has the default.
func text[T any](t *table, key string, def T, want string, read func(string) (T, *mistake)) T {
	s, ok := take[string](t, key, want)
	if !ok {
		return def
	}
	v, m := read(s)
	if m != nil {
		t.report(key, m)
		return def
	}
	return v
}

// boolean reads a key that is true or false.
func boolean(t *table, key string, def bool) bool {
	if v, ok := take[bool](t, key, "true or false, without quotes"); ok {
		return v
	}
	return def
}

// required reports a key that is absent.
func (t *table) required(key, hint string) {
	if t.lacks(key) {
		t.report(key, &mistake{"is missing", hint})
	}
}

// lacks reports whether a key is absent. One of which a misspelling is
// reported already is not.
func (t *table) lacks(key string) bool {
	if t.has(key) {
		return false
	}
	for other := range t.values {
		if !slices.Contains(schema[t.kind], other) && Nearest(other, schema[t.kind]) == key {
			return false
		}
	}
	return true
}

// oneOf reads a key that has a few possible values, the first of which is the
// default.
func oneOf[T ~string](t *table, key string, values ...T) T {
	return text(t, key, values[0], list(values), func(s string) (T, *mistake) {
		if slices.Contains(values, T(s)) {
			return T(s), nil
		}
		return "", &mistake{quote(s) + " is not known here", "must be " + list(values)}
	})
}

func list[T ~string](values []T) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = `"` + string(v) + `"`
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// unknown reports every key that the schema does not have.
func (t *table) unknown() {
	for key := range t.values {
		if slices.Contains(schema[t.kind], key) {
			continue
		}
		if isSecretKey(key) {
			m := secretMistake
			if t.kind == "oauth" {
				m = clientSecretMistake
			}
			t.report(key, m)
			continue
		}
		t.report(key, &mistake{"this key is not known", t.suggest(key)})
	}
}

// suggest names the key that was probably meant.
func (t *table) suggest(key string) string {
	if hint := otherwise[t.kind][strings.ToLower(key)]; hint != "" {
		return hint
	}
	if near := Nearest(key, schema[t.kind]); near != "" {
		return "did you mean " + near + "?"
	}
	for _, kind := range []string{"imap", "lan", "web", "log", "account", "oauth", ""} {
		if kind == t.kind || !slices.Contains(schema[kind], strings.ToLower(key)) {
			continue
		}
		switch kind {
		case "":
			return "it belongs at the top of the file, before the first table"
		case "account":
			return "it belongs to an account, below a line [[account]]"
		case "oauth":
			return "it belongs below a line [oauth.NAME]"
		}
		return fmt.Sprintf("it belongs below a line [%s]", kind)
	}
	if t.kind == "" {
		return "known here: " + strings.Join(schema[t.kind], ", ")
	}
	return fmt.Sprintf("known in %s: %s", t.kind, strings.Join(schema[t.kind], ", "))
}

// otherwise says how keys are called here that other programs have.
var otherwise = map[string]map[string]string{
	"imap": {
		"port":    `the port is part of the address: listen = ["127.0.0.1:1143"]`,
		"host":    `the address is listen = ["127.0.0.1:1143"]`,
		"address": `the address is listen = ["127.0.0.1:1143"]`,
		"bind":    `the address is listen = ["127.0.0.1:1143"]`,
		"ssl":     `it is called tls: "starttls", "implicit" or "off"`,
	},
	"lan": {
		"port": hintLAN, "host": hintLAN, "address": hintLAN, "interface": hintLAN, "bind": hintLAN,
		"tls": "there is nothing to choose: TLS from the first byte, always",
	},
	"web": {
		"port": hintWeb, "host": hintWeb, "address": hintWeb, "bind": hintWeb, "enabled": hintWeb,
		"password": "there is none: `popbridge open` signs the browser in",
	},
	"account": {
		"server": "it is called host", "hostname": "it is called host", "pop3_host": "it is called host",
		"login": "it is called username", "email": "it is called username",
		"ssl": hintTLS, "encryption": hintTLS, "security": hintTLS, "starttls": hintTLS, "use_ssl": hintTLS, "use_tls": hintTLS,
		"interval": "it is called poll_every", "poll_interval": "it is called poll_every", "check_every": "it is called poll_every",
		"keep": "it is called keep_on_server", "leave_on_server": "it is called keep_on_server", "delete": `it is called keep_on_server; "never" deletes what is stored here`,
		"mailbox": "it is called folder", "fingerprint": "it is called tls_pin",
	},
}

const hintLAN = `addresses, or interfaces, and ports are listen = ["192.168.1.20:1993"] or ["eth0:1993"]`

const hintWeb = `address and port are listen = "127.0.0.1:1180"; listen = "off" switches it off`

const hintTLS = `it is called tls: "implicit", "starttls" or "none"`

var secretMistake = &mistake{
	"a secret may not stand in this file",
	`write it into a file that only you can read and set password_file = "FILE", or set password_command = ["COMMAND", "ARGUMENT"], or leave both out and keep it in the keychain of the system`,
}

var clientSecretMistake = &mistake{secretMistake.text, `write it into a file that only you can read and set client_secret_file = "FILE"`}

// isSecretKey reports whether the value of an unknown key is probably a secret.
func isSecretKey(key string) bool {
	key = strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	if strings.HasPrefix(Nearest(key, schema["account"]), "password_") && key != "password" {
		return false // a misspelt password_file
	}
	if near := Nearest(key, schema["oauth"]); near == "token_url" || near == "client_secret_file" && len(key) > len("client_secret") {
		return false
	}
	return slices.Contains([]string{"pass", "pwd", "pw", "apikey", "api_key"}, key) ||
		strings.Contains(key, "passw") || strings.Contains(key, "secret") || strings.Contains(key, "token")
}

// Nearest returns the candidate that a word is a misspelling of, or "".
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// DidYouMean starts a hint with the name that was probably meant, or is "".
func DidYouMean(name string, names []string) string {
	if near := Nearest(name, names); near != "" {
		return "did you mean " + near + "? "
	}
	return ""
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a) // no name is that long
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
