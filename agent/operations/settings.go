package operations

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// Settings are the keys of a config file outside of the accounts.
type Settings struct {
	File     string           `json:"file"`
	Keys     []Setting        `json:"keys"`
	Problems []SettingProblem `json:"problems"` // of the whole file: while there are any, it is not in force
}

// Setting is a key of the config.
type Setting struct {
	Key     string   `json:"key"`     // "timezone", "log.level"
	Value   string   `json:"value"`   // as the file has it, text without quotes; "" where it has none
	Line    int      `json:"line"`    // of the file; 0: the default holds
	Default string   `json:"default"` // what holds without it; "": the documentation says
	Doc     string   `json:"doc"`
	Choices []string `json:"choices"` // all that it may be; empty: anything
	Bool    bool     `json:"bool"`    // "true" or "false"
	Fixed   string   `json:"fixed"`   // why no web page may set it; "": one may
	Restart bool     `json:"restart"` // a change holds once the agent is started again
}

// SettingProblem is what is wrong with a key.
type SettingProblem struct {
	Key  string `json:"key"` // "": the file as a whole
	Line int    `json:"line"`
	Text string `json:"text"`
	Hint string `json:"hint"`
}

// SetSettings asks for values by key, "" for the default.
type SetSettings struct {
	Values map[string]string `json:"values"`
	// Forget is how many deleted messages may be gone for good by it.
	Forget int `json:"forget"`
}

// SettingsSaved is what came of it. With problems nothing was changed, nor where Forgets is
// larger than what may be gone.
type SettingsSaved struct {
	Problems []SettingProblem `json:"problems"`
	// Forgets counts the messages that keep_expunged would not let be restored any more.
	Forgets  int      `json:"forgets"`
	Settings Settings `json:"settings"` // as they are now
}

func (l *Local) Settings(context.Context) (Settings, error) {
	path := l.users.Config().Path
	s := Settings{File: path, Keys: []Setting{}, Problems: []SettingProblem{}}
	_, err := config.Load(path)
	if found, ok := errors.AsType[*config.Errors](err); ok {
		s.Problems = settingProblems(found)
	} else if err != nil {
		return s, err
	}
	values, err := config.Values(path)
	if _, ok := errors.AsType[*config.Errors](err); ok {
		return s, nil // it is not TOML: the one problem says so
	}
	for _, v := range values {
		s.Keys = append(s.Keys, Setting{Key: v.Path, Value: v.Value, Line: v.Line, Default: v.Default, Doc: v.Doc, Choices: append([]string{}, v.Choices...), Bool: v.Bool, Fixed: v.Fixed, Restart: v.Restart})
	}
	return s, err
}

func settingProblems(e *config.Errors) []SettingProblem {
	list := []SettingProblem{}
	for _, p := range e.Problems {
		list = append(list, SettingProblem{Key: p.Key, Line: p.Line, Text: p.Text, Hint: p.Hint})
	}
	return list
}

func (l *Local) SetSettings(ctx context.Context, ask SetSettings) (saved SettingsSaved, err error) {
	saved.Problems = []SettingProblem{}
	var settings []config.Setting
	for key, value := range ask.Values {
		i := slices.IndexFunc(config.Keys, func(k config.Key) bool { return k.Path == key })
		if i >= 0 && config.Keys[i].Fixed != "" {
			return saved, fault.New(fault.Denied, "the web page may not set "+key+": "+config.Keys[i].Fixed, "change it in "+l.users.Config().Path)
		}
		s, err := config.KeySetting(key, value)
		if err != nil {
			return saved, err
		}
		settings = append(settings, s)
	}
	slices.SortFunc(settings, func(a, b config.Setting) int { return slices.Index(keyPaths, a.Key) - slices.Index(keyPaths, b.Key) })
	if i := slices.IndexFunc(settings, func(s config.Setting) bool { return s.Key == "keep_expunged" }); i >= 0 {
		if saved.Forgets = l.forgets(ctx, settings[i]); saved.Forgets > ask.Forget {
			saved.Settings, err = l.Settings(ctx)
			return saved, err
		}
	}
	err = l.edit(func(f editing.File) error {
		_, err := config.Edit(f.Path, func(text []byte) ([]byte, error) { return config.SetKeys(text, settings) })
		return err
	})
	if found, ok := errors.AsType[*config.Errors](err); ok && found.File == "" {
		saved.Problems = settingProblems(found)
	} else if err != nil {
		return saved, err
	} else {
		l.reload()
	}
	saved.Settings, err = l.Settings(ctx)
	return saved, err
}

// forgets counts the messages that can be restored now, and not once this keep_expunged is
// in force. A value that is none forgets nothing, as it is not taken; a store that cannot be
// read has a condition of its own.
func (l *Local) forgets(ctx context.Context, keep config.Setting) (n int) {
	text, err := config.SetKeys([]byte("version = 1\n"), []config.Setting{keep})
	if err != nil {
		return 0
	}
	next, err := config.Parse("", text)
	if err != nil || next.KeepExpunged >= l.users.KeepExpunged {
		return 0
	}
	names, _ := l.users.Names()
	for _, name := range names {
		list, _ := l.Expunged(ctx, ExpungedQuery{User: name})
		for _, m := range list {
			if now := time.Now(); m.Until.After(now) && m.ExpungedAt.Add(next.KeepExpunged).Before(now) {
				n++
			}
		}
	}
	return n
}

// keyPaths are the keys in the order of the file.
var keyPaths = func() (paths []string) {
	for _, k := range config.Keys {
		paths = append(paths, k.Path)
	}
	return paths
}()
