package installer

import (
	"slices"
	"strings"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
)

// windowsAccount is the virtual account that Windows makes for the service. It
// has no password and no rights beyond those it is granted: as LocalSystem,
// whoever may edit the configuration could run anything as the machine.
const windowsAccount = `NT SERVICE\` + ServiceName

// windowsEntry is the entry in the service control manager's database.
func windowsEntry(d definition) *service.Config {
	c := &service.Config{
		Name:        ServiceName,
		DisplayName: displayName,
		Description: description,
		UserName:    windowsAccount,
		Executable:  d.executable,
		Arguments:   d.arguments(),
		Option: service.KeyValue{
			"StartType":              "automatic",
			"DelayedAutoStart":       false, // mail programs would find no server for minutes
			"OnFailure":              "restart",
			"OnFailureDelayDuration": "5s",
			"OnFailureResetPeriod":   3600,
		},
		EnvVars: map[string]string{},
	}
	for _, v := range d.env {
		c.EnvVars[v.name] = v.value
	}
	return c
}

// A grant is a folder to which the service's account gets access.
type grant struct{ what, dir, rights string }

// grants are those of a service of Windows. The last one of a folder holds: the config
// may be in the data folder.
func (d definition) grants(goos string) []grant {
	if goos != "windows" || !d.system {
		return nil
	}
	list := []grant{{"config file", windowsDir(d.config), "RX"}}
	for _, g := range []grant{{"data folder", d.dataDir, "M"}, {"state folder", d.stateDir, "M"}} {
		if g.dir != "" {
			list = append(list, g)
		}
	}
	return list
}

// ownFolders refuses a service that would get access to a whole drive or profile.
func (s *Service) ownFolders() error {
	for _, g := range s.def.grants(s.host.goos) {
		if holdsMore(g.dir, s.host.home) {
			return fault.New(fault.Config, "the service would get access to all in "+fault.Quote(g.dir)+", where the "+g.what+" is", "put it in a folder of its own")
		}
	}
	return nil
}

// holdsMore reports whether a folder is the root of a drive or share, the folder of all
// profiles, or a profile. home is one of these.
func holdsMore(dir, home string) bool {
	way := func(path string) []string {
		return strings.FieldsFunc(strings.ToLower(path), func(r rune) bool { return r == '\\' || r == '/' || r == '?' })
	}
	names, profile := way(dir), way(home)
	root := 1
	if strings.HasPrefix(dir, `\\`) && !strings.HasPrefix(dir, `\\?\`) {
		root = 2 // server and share
	}
	if len(names) <= root {
		return true
	}
	profiles := profile[:max(len(profile)-1, 0)]
	return slices.Equal(names, profiles) || slices.Equal(names[:len(names)-1], profiles)
}

// windowsDir is filepath.Dir, on every system.
func windowsDir(path string) string {
	for i := len(path) - 1; i > 2; i-- {
		if path[i] == '\\' || path[i] == '/' {
			return path[:i]
		}
	}
	return path[:3] // C:\
}

// icaclsRun is the command that lets the service's account run the program, which may
// be in the folder of a user.
func icaclsRun(program string) []string {
	return []string{"icacls", program, "/grant", windowsAccount + ":RX", "/Q"}
}

// icacls is the command that gives the service's account access to a folder and
// everything in it, in place of what it had. The account exists once the service is
// registered.
func icacls(g grant) []string {
	return []string{"icacls", g.dir, "/grant:r", windowsAccount + ":(OI)(CI)" + g.rights, "/Q"}
}
