package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/popbridge/popbridge/internal/fault"
)

// KeySetting is a setting for SetKeys of a value as a person types it, "" for the default.
func KeySetting(path, value string) (Setting, error) {
	i := slices.IndexFunc(Keys, func(k Key) bool { return k.Path == path })
	if i < 0 {
		return Setting{}, fault.New(fault.Config, "the config has no key "+fault.Quote(path), "see docs/configuration.md")
	}
	value = strings.TrimSpace(value)
	_, number := strconv.Atoi(Keys[i].example)
	_, given := strconv.Atoi(value)
	if value == "" || number == nil && given == nil || Keys[i].Bool && (value == "true" || value == "false") {
		return Setting{path, value}, nil
	}
	return Text(path, value), nil
}

// SetKeys returns the text of a config with these keys outside of the accounts changed,
// as SetAccount does those of an account. The key of a setting is its path in Keys.
func SetKeys(data []byte, settings []Setting) ([]byte, error) {
	if err := checkSettings(settings); err != nil {
		return nil, err
	}
	for _, s := range settings {
		h, err := headTexts(data)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(h.pairs, func(p pair) bool { return p.key == s.Key }); i >= 0 {
			data = h.pairs[i].set(data, s.Value)
		} else if err := h.oneLine(s.Key); err != nil {
			return nil, err
		} else if s.Value != "" {
			if data, err = h.insert(data, s); err != nil {
				return nil, err
			}
		}
	}
	return data, nil
}

// headText is where the keys outside of the accounts stand.
type headText struct {
	pairs  []pair         // by their paths
	root   []pair         // those before the first table, by what is written
	tables map[string]int // the start of the line [NAME]
	direct map[string][]pair
	first  int // the line of the first table, or that of its comments; the end of a file without one
}

// headTexts finds them in a file that is TOML.
func headTexts(data []byte) (*headText, error) {
	h := &headText{tables: map[string]int{}, direct: map[string][]pair{}, first: -1}
	table, floor := "", bom(data)
	err := expressions(data, func(n *unstable.Node, keys []string, line, last int) error {
		if n.Kind != unstable.KeyValue {
			if h.first < 0 {
				h.first = above(data, line, floor)
			}
			table = strings.Join(keys, ".")
			if n.Kind == unstable.Table {
				h.tables[table] = line
			}
			return nil
		}
		value := valueStart(data, last)
		p := pair{strings.Join(keys, "."), line, value, valueEnd(data, value)}
		floor = nextLine(data, p.end)
		if table == "" {
			h.root = append(h.root, p)
		} else {
			h.direct[table] = append(h.direct[table], p)
			p.key = table + "." + p.key
		}
		h.pairs = append(h.pairs, p)
		return nil
	})
	if h.first < 0 {
		h.first = len(data)
	}
	return h, err
}

// oneLine refuses a key whose table is written in one line, where it cannot be found.
func (h *headText) oneLine(key string) error {
	table, _ := splitPath(key)
	if table != "" && slices.ContainsFunc(h.root, func(p pair) bool { return p.key == table }) {
		return fault.New(fault.Config, "the table "+table+" of this config is written in one line", "change the file by hand, or write it as a line ["+table+"] with its keys below")
	}
	return nil
}

// insert puts a key that the file does not have into its table.
func (h *headText) insert(data []byte, s Setting) ([]byte, error) {
	table, name := splitPath(s.Key)
	if table == "" {
		return insertBelow(data, h.first, h.root, s), nil
	}
	if line, ok := h.tables[table]; ok {
		return insertBelow(data, nextLine(data, line), h.direct[table], Setting{name, s.Value}), nil
	}
	var dotted []pair
	for _, p := range h.root {
		if strings.HasPrefix(p.key, table+".") {
			dotted = append(dotted, p)
		}
	}
	if dotted != nil {
		return insertBelow(data, 0, dotted, s), nil
	}
	end := lineEnd(data)
	if len(data) > bom(data) && data[len(data)-1] != '\n' {
		data = append(slices.Clip(data), end...)
	}
	return fmt.Appendf(slices.Clip(data), "%s[%s]%s%s = %s%s", end, table, end, name, s.Value, end), nil
}

// Value is what a file says of one of Keys.
type Value struct {
	Key
	Value string // as a person types it; "" for one that is absent
	Line  int    // 0: the key is absent
}

// Values reads what a file says of each of Keys, whether that is right or not.
func Values(path string) ([]Value, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	doc, problem := parse(data)
	if problem != nil {
		return nil, &Errors{File: path, Problems: []Problem{*problem}}
	}
	list := make([]Value, len(Keys))
	for i, k := range Keys {
		table, name := splitPath(k.Path)
		in := doc.root
		if table != "" {
			in, _ = doc.root[table].(map[string]any)
		}
		list[i] = Value{Key: k}
		if v, ok := in[name]; ok {
			list[i].Value, list[i].Line = typed(v), doc.lines[k.Path]
		}
		if k.Path == "data_dir" {
			list[i].Default = thisSystem().dataDir()
		}
	}
	return list, nil
}

// typed is a value as a person types it.
func typed(v any) string {
	all, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(all))
	for i, one := range all {
		parts[i] = typed(one)
	}
	return strings.Join(parts, ", ")
}
