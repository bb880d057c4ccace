package installer

import (
	"slices"

	"github.com/kardianos/service"
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

// grants are the folders which the service's account gets access to.
func (d definition) grants(goos string) []string {
	if goos != "windows" || !d.system {
		return nil
	}
	dirs := []string{windowsDir(d.config)}
	for _, dir := range []string{d.dataDir, d.stateDir} {
		if dir != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
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

// icacls is the command that lets the service's account change a folder and
// everything in it. The account exists once the service is registered.
func icacls(dir string) []string {
	return []string{"icacls", dir, "/grant", windowsAccount + ":(OI)(CI)M", "/Q"}
}
