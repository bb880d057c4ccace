package config

import (
	"cmp"
	"fmt"
	"slices"
)

// Entry is a key of a file with its value, whether that is right or not.
type Entry struct {
	Path  string // "log.level", "account[2].host"
	Line  int
	Value any // text, a number, true or false, or a list of these
}

// Entries returns what is in a file that is TOML, in its order; else *Errors.
func Entries(path string) ([]Entry, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	doc, problem := parse(data)
	if problem != nil {
		return nil, &Errors{File: path, Problems: []Problem{*problem}}
	}
	list := doc.entries("", doc.root)
	slices.SortStableFunc(list, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path)) })
	return list, nil
}

func (d *document) entries(path string, table map[string]any) (list []Entry) {
	for key, value := range table {
		at := joinKey(path, key)
		switch v := value.(type) {
		case map[string]any:
			list = append(list, d.entries(at, v)...)
			continue
		case []any:
			if len(v) > 0 && slices.IndexFunc(v, isTable) >= 0 {
				for i, one := range v {
					if sub, ok := one.(map[string]any); ok {
						list = append(list, d.entries(fmt.Sprintf("%s[%d]", at, i+1), sub)...)
					}
				}
				continue
			}
		}
		list = append(list, Entry{at, d.lines[at], value})
	}
	return list
}

func isTable(v any) bool {
	_, ok := v.(map[string]any)
	return ok
}
