package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"github.com/popbridge/popbridge/internal/fault"
)

// A Setting is a key of an account and its value as it stands in the file; without a
// value the key goes, and its default holds.
type Setting struct{ Key, Value string }

// Text is the setting of a key whose value is text.
func Text(key, value string) Setting { return Setting{key, tomlString(value)} }

// Unquoted is the value of a key whose values have no quotes in them, such as a name.
func (s Setting) Unquoted() string { return strings.Trim(s.Value, `"'`) }

// notUTF8 is the fault of a value that TOML cannot hold, and that no other program
// would take for the same.
func notUTF8(key string) error {
	return fault.New(fault.Config, key+" is not UTF-8 text", "type it at a terminal whose character set is UTF-8")
}

// ParseSetting reads KEY=VALUE as a person types it: text needs no quotes, and may have
// those of the file; a list is written as in the file. What the value means is checked with the whole file.
func ParseSetting(s string) (Setting, error) {
	key, value, ok := strings.Cut(s, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !ok || key == "" {
		return Setting{}, fault.New(fault.Config, fault.Quote(s)+" is no setting", "write KEY=VALUE, such as poll_every=10m; KEY= alone goes back to the default")
	}
	keys := accountKeys()
	if isSecretKey(key) && !slices.Contains(keys, key) {
		return Setting{}, fault.New(fault.Config, "a secret may not stand in the config", "`popbridge account password NAME` stores it in the keychain; password_file=FILE names a file that has it")
	}
	if !slices.Contains(keys, key) {
		return Setting{}, fault.New(fault.Config, "an account has no key "+fault.Quote(key), DidYouMean(key, keys)+"the keys are: "+strings.Join(keys, ", "))
	}
	if !utf8.ValidString(value) {
		return Setting{}, notUTF8(key)
	}
	if value == "" {
		return Setting{Key: key}, nil
	}
	if !bareKeys[key] && !(listKeys[key] && strings.HasPrefix(value, "[")) {
		var quoted struct{ X string } // as it would stand in the file
		if strings.ContainsAny(value[:1], `"'`) && toml.Unmarshal([]byte("X = "+value), &quoted) == nil && !strings.ContainsAny(value, "\r\n") {
			value = quoted.X
		}
		return Text(key, value), nil
	}
	var alone map[string]any
	if err := toml.Unmarshal([]byte("x = "+value), &alone); err != nil || len(alone) != 1 || strings.ContainsAny(value, "\r\n#") {
		return Setting{}, fault.New(fault.Config, fault.Quote(value)+" is no value of "+key, "write a number, true or false without quotes, and a list as in the config, in one line and without #")
	}
	return Setting{key, value}, nil
}

// AccountKey reports whether an account has a key of this name.
func AccountKey(name string) bool { return slices.Contains(accountKeys(), name) }

// accountKeys are the keys of an account, those of its table send as send.KEY.
func accountKeys() (keys []string) {
	for _, key := range schema["account"] {
		if key != "send" {
			keys = append(keys, key)
		}
	}
	for _, key := range schema["send"] {
		keys = append(keys, "send."+key)
	}
	return keys
}

// bareKeys are the keys of an account whose values have no quotes, listKeys those that
// may be lists.
var (
	bareKeys = map[string]bool{"port": true, "send.port": true, "confirm_deletes": true, "shadow": true, "paused": true}
	listKeys = map[string]bool{"password_command": true, "tls_pin": true, "addresses": true, "send.password_command": true, "send.tls_pin": true}
)

// tomlString writes text as TOML, a path of Windows so that it can be read. What is not
// UTF-8 stays as it is, for the check of the settings to find.
func tomlString(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	control := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	if strings.Contains(s, `\`) && !strings.Contains(s, "'") && !control {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// checkSettings reports keys that are given twice, and values that TOML cannot hold.
func checkSettings(settings []Setting) error {
	for i, s := range settings {
		if slices.ContainsFunc(settings[:i], func(o Setting) bool { return o.Key == s.Key }) {
			return fault.New(fault.Config, s.Key+" is given twice", "leave out one of the two")
		}
		if !utf8.ValidString(s.Value) {
			return notUTF8(s.Key)
		}
	}
	return nil
}
