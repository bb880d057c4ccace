package config

import (
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"
)

// AddOAuth returns the text of a config with one table [oauth.NAME] more, at its end, and
// that NAME: the one that is wanted, numbered where it is taken.
func AddOAuth(data []byte, wanted string, settings []Setting) (text []byte, name string, err error) {
	if err := checkSettings(settings); err != nil {
		return nil, "", err
	}
	taken := map[string]bool{}
	inside := false // the table [oauth]
	if err := expressions(data, func(n *unstable.Node, keys []string, _, _ int) error {
		if n.Kind != unstable.KeyValue {
			inside = len(keys) == 1 && keys[0] == "oauth"
		} else if inside {
			taken[keys[0]] = true
		}
		if keys[0] == "oauth" && len(keys) > 1 {
			taken[keys[1]] = true
		}
		return nil
	}); err != nil {
		return nil, "", err
	}
	name = wanted
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", wanted, n)
	}
	if name != wanted { // the name says no more which provider it is
		settings = slices.Insert(slices.Clone(settings), 0, Text("provider", wanted))
	}
	return appendTable(data, "[oauth."+name+"]", settings), name, nil
}
