package installer

import (
	"fmt"
	"path"
	"strings"
)

// What a unit says in every case. Each line of it is what a user's own systemd can
// do without privileges, too (system calls are filtered, and no view of the file
// system of its own is made), and what a password_command can live with:
// MemoryDenyWriteExecute= would end those in JavaScript, PrivateTmp= would keep
// `popbridge backup /tmp/copy` to itself.
//
// Exit code 2 is a wrong configuration: trying again does not repair it.
const systemdService = `SyslogIdentifier=popbridge
Restart=on-failure
RestartPreventExitStatus=2
KillSignal=SIGTERM
KillMode=mixed
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
`

// What the unit of a system says besides. ProtectSystem=strict would hide a disk
// that is connected later; ProtectHome= the mail.
const systemdSystem = `RuntimeDirectory=popbridge
RuntimeDirectoryMode=0700
ProtectSystem=full
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
PrivateDevices=yes
`

// systemdUnit renders the unit.
func systemdUnit(d definition) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=%s: %s\nDocumentation=%s\n", displayName, description, servicePage)
	if d.system {
		b.WriteString("Wants=network-online.target\nAfter=network-online.target nss-lookup.target\n")
		mounts := strings.Join(systemdMounts(path.Dir(d.config), d.dataDir), " ")
		fmt.Fprintf(&b, "Wants=%s\nAfter=%[1]s\n", mounts)
	}
	b.WriteString("StartLimitIntervalSec=0\n\n[Service]\nType=exec\n")
	fmt.Fprintf(&b, "ExecStart=%s", systemdQuote(d.executable, false))
	for _, arg := range d.arguments() {
		b.WriteString(" " + systemdQuote(arg, true))
	}
	b.WriteString("\nExecReload=/bin/sh -c \"kill -HUP $MAINPID\"\n") // there may be no /bin/kill
	for _, v := range d.env {
		fmt.Fprintf(&b, "Environment=%s\n", systemdQuote(v.name+"="+v.value, false))
	}
	if d.user != "" {
		fmt.Fprintf(&b, "User=%s\n", d.user)
	}
	b.WriteString("RestartSec=5\n")
	if d.systemd >= 254 { // earlier ones know no longer and longer waiting times
		b.WriteString("RestartSteps=6\nRestartMaxDelaySec=300\n")
	}
	fmt.Fprintf(&b, "TimeoutStopSec=%d\n%s", stopSeconds, systemdService)
	wantedBy := "default.target"
	if d.system {
		b.WriteString(systemdSystem)
		b.WriteString("CapabilityBoundingSet=")
		if d.user == root { // for ports below 1024
			b.WriteString("CAP_NET_BIND_SERVICE")
		}
		b.WriteString("\n")
		wantedBy = "multi-user.target"
	}
	if d.system && d.stateDir != "" {
		// The folder is the home of the account, with data and state below it as in
		// any other. Where STATE_DIRECTORY is set, state would be beside the data.
		fmt.Fprintf(&b, "StateDirectory=%s\nStateDirectoryMode=0700\nUnsetEnvironment=STATE_DIRECTORY\n", path.Base(d.stateDir))
	}
	fmt.Fprintf(&b, "\n[Install]\nWantedBy=%s\n", wantedBy)
	return b.String()
}

// maxUnitName is how long the name of a unit can be, in octets.
const maxUnitName = 255

// systemdMounts are the units of all mounts that there may be on the way to these
// folders. The service wants them and starts after them, as by WantsMountsFor= of
// systemd 256. It does not require them (RequiresMountsFor=): then a disk that was
// missing at a start of the machine would keep the service off for good, while the
// agent itself waits for the disk and goes on when it is there.
func systemdMounts(dirs ...string) []string {
	var units []string
	seen := map[string]bool{}
	for _, dir := range dirs {
		var way []string
		for ; strings.HasPrefix(dir, "/") && dir != "/"; dir = path.Dir(dir) {
			if unit := systemdEscape(dir) + ".mount"; !seen[unit] && len(unit) <= maxUnitName {
				seen[unit] = true
				way = append([]string{unit}, way...)
			}
		}
		units = append(units, way...)
	}
	return units
}

// systemdEscape makes a name of a path, as systemd.unit(5) says. In a unit a
// backslash before x stays one, and a percent sign never comes out of it.
func systemdEscape(dir string) string {
	var b strings.Builder
	for i, c := range []byte(strings.TrimPrefix(dir, "/")) {
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// systemdQuote writes a word as systemd.syntax(7) and systemd.service(5) want
// it. In arguments, but not in the path of the program, $ starts a variable.
func systemdQuote(s string, argument bool) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.-_:=+,@") == "" {
		return s
	}
	r := []string{`\`, `\\`, `"`, `\"`, "%", "%%", "{", `\x7b`}
	if argument {
		r = append(r, "$", "$$")
	}
	return `"` + strings.NewReplacer(r...).Replace(s) + `"`
}
