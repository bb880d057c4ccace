// Package thunderbird sets up an account in a profile of Thunderbird, so that
// Thunderbird asks for the password and for nothing else.
//
// What always holds: a profile is changed only while no Thunderbird uses it, as that
// would write its own state over ours; nothing that is in it is removed or replaced
// but the lists of accounts and SMTP servers, which ours are added to; what the file
// was before is kept beside it (Backup). No password is read or written.
//
// A profile has its settings in prefs.js, one call of user_pref on each line, where
// the last of one name counts. Thunderbird reads it at the start and writes it again
// when settings change. The file user.js is not used: it is read at every start, and
// would reset the list of accounts each time.
package thunderbird

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/mozilla"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// Backup is the name of the copy of prefs.js as it was before it was changed.
const Backup = "prefs.js.before-popbridge"

const prefsName = "prefs.js"

// Profile is a profile of Thunderbird.
type Profile struct {
	Dir string // absolute
	New bool   // Thunderbird has no profile yet: Add makes it, and the list of profiles
	// Of a new one:
	root, program string
}

// Change is what Add does to a profile.
type Change struct {
	New   bool     // an account is added; else the values of one are brought up to date
	There bool     // the account was there with the same values: nothing is changed
	POP   []string // servers that Thunderbird fetches mail from by POP3, in their order
	Copy  string   // the path of the copy of the old settings; empty where there were none
	text  []byte
}

// Plan finds out what Add would change. Errors are faults with a hint: Conflict where
// Thunderbird runs, Config where the profile cannot take an account.
func (p Profile) Plan(m clientfiles.Mailbox) (Change, error) {
	if !p.New {
		if mozilla.InUse(p.Dir) {
			return Change{}, running(p.Dir)
		}
		if user, err := p.read("user.js"); err != nil {
			return Change{}, err
		} else if _, there := parsePrefs(user)[accountList]; there {
			return Change{}, fault.New(fault.Config, "user.js in the profile "+p.Dir+" sets the accounts at every start", "remove "+accountList+" from it, or enter the values in Thunderbird by hand")
		}
	}
	old, err := p.read(prefsName)
	if err != nil {
		return Change{}, err
	}
	c, err := change(string(old), m)
	if len(old) > 0 && !c.There {
		c.Copy = filepath.Join(p.Dir, Backup)
	}
	return c, err
}

func running(dir string) error {
	return fault.New(fault.Conflict, "Thunderbird is running with the profile "+dir, "close Thunderbird, and run this again")
}

func (p Profile) read(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(p.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, fault.Wrap(err, fault.Config, "the settings of Thunderbird cannot be read", "run this as the user whose Thunderbird it is")
}

// Add makes a planned change.
func (p Profile) Add(c Change) error {
	if c.There && !p.New {
		return nil
	}
	if mozilla.InUse(p.Dir) { // since Plan
		return running(p.Dir)
	}
	err := p.add(c)
	return fault.Wrap(err, fault.Config, "the settings of Thunderbird cannot be written", "run this as the user whose Thunderbird it is, and look at the permissions of "+p.Dir)
}

func (p Profile) add(c Change) error {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return err
	}
	if c.Copy != "" {
		old, err := os.ReadFile(filepath.Join(p.Dir, prefsName))
		if err != nil {
			return err
		}
		if err := atomicfile.Write(c.Copy, 0o600, old); err != nil {
			return err
		}
	}
	if !c.There {
		if err := atomicfile.Write(filepath.Join(p.Dir, prefsName), 0o600, c.text); err != nil {
			return err
		}
	}
	if p.New { // also where an earlier try was cut off before this
		return p.register()
	}
	return nil
}

// register makes a new profile the one that Thunderbird starts with. It takes over a
// profile that says it was made by the same program (nsToolkitProfileService.cpp,
// IsProfileForCurrentInstall), and makes another one beside it otherwise.
func (p Profile) register() error {
	made := fmt.Sprintf("[Compatibility]\nLastVersion=0_0/0\nLastPlatformDir=%s\nLastAppDir=%[1]s\n", p.program)
	if err := atomicfile.Write(filepath.Join(p.Dir, "compatibility.ini"), 0o600, []byte(made)); err != nil {
		return err
	}
	list := fmt.Sprintf("[Profile0]\nName=default\nIsRelative=1\nPath=%s\nDefault=1\n\n[General]\nStartWithLastProfile=1\nVersion=2\n", filepath.Base(p.Dir))
	return atomicfile.Write(filepath.Join(p.root, profileList), 0o600, []byte(list))
}

// change adds the account to the settings.
func change(old string, m clientfiles.Mailbox) (Change, error) {
	prefs := parsePrefs([]byte(old))
	c := Change{POP: popServers(prefs)}
	var set settings
	if account, server := sameServer(prefs, m); server != "" {
		for _, s := range serverSettings(server, m) {
			if prefs[s.name] != s.value {
				set = append(set, s)
			}
		}
		set = append(set, movedFolders(prefs, server, m)...)
		set = append(set, newIdentities(prefs, "mail.account."+account+".identities", m)...)
		if len(set) == 0 {
			c.There = true
			return c, nil
		}
	} else {
		if len(m.Identities) == 0 {
			return c, fault.New(fault.Config, "no mail address of user "+m.User+" is known, and Thunderbird needs one",
				"the name of an account or its user name at the provider says the address; rename one, or enter the values in Thunderbird by hand")
		}
		c.New, set = true, newAccount(prefs, m)
	}
	if old != "" && !strings.HasSuffix(old, "\n") {
		old += "\n"
	}
	c.text = append([]byte(old), set.lines()...)
	return c, nil
}

// sameServer returns the keys of the account and the server with the same user on this
// machine or the same host, empty where there are none.
func sameServer(prefs map[string]any, m clientfiles.Mailbox) (account, server string) {
	for account, key := range serversOf(prefs) {
		at := "mail.server." + key + "."
		host, _ := prefs[at+"hostname"].(string)
		there := clientfiles.Mailbox{Host: host}
		if prefs[at+"type"] == "imap" && prefs[at+"userName"] == m.User && (host == m.Host || there.Loopback() && m.Loopback()) {
			return account, key
		}
	}
	return "", ""
}

// serversOf yields the keys of all accounts, and those of their servers.
func serversOf(prefs map[string]any) iter.Seq2[string, string] {
	accounts, _ := prefs[accountList].(string)
	return func(yield func(string, string) bool) {
		for account := range strings.SplitSeq(accounts, ",") {
			account = strings.TrimSpace(account)
			if key, ok := prefs["mail.account."+account+".server"].(string); ok && !yield(account, key) {
				return
			}
		}
	}
}

func popServers(prefs map[string]any) []string {
	var list []string
	for _, key := range serversOf(prefs) {
		at := "mail.server." + key + "."
		if prefs[at+"type"] == "pop3" {
			host, _ := prefs[at+"hostname"].(string)
			name, _ := prefs[at+"name"].(string)
			list = append(list, cmp.Or(name, host))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
