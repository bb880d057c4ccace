package installer

import (
	"fmt"
	"strings"
)

// systemdUnit renders the unit. The hardening is what a user's own systemd can
// do without privileges, too, and what a password_command can live with.
func systemdUnit(d definition) string {
	var b strings.Builder
	b.WriteString("[Unit]\n")
	fmt.Fprintf(&b, "Description=%s: %s\nDocumentation=%s\n", displayName, description, Homepage)
	if d.system {
		b.WriteString("Wants=network-online.target\nAfter=network-online.target\n")
	}
	b.WriteString("\n[Service]\nType=simple\n")
	fmt.Fprintf(&b, "ExecStart=%s", systemdQuote(d.executable, false))
	for _, arg := range d.arguments() {
		b.WriteString(" " + systemdQuote(arg, true))
	}
	b.WriteString("\nExecReload=/bin/kill -HUP $MAINPID\n")
	for _, v := range d.env {
		fmt.Fprintf(&b, "Environment=%s\n", systemdQuote(v.name+"="+v.value, false))
	}
	if d.user != "" {
		fmt.Fprintf(&b, "User=%s\n", d.user)
	}
	// Exit code 2 is a wrong configuration: trying again does not repair it.
	fmt.Fprintf(&b, `Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=%d
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
`, stopSeconds)
	wantedBy := "default.target"
	if d.system {
		b.WriteString("RuntimeDirectory=popbridge\nRuntimeDirectoryMode=0700\nPrivateTmp=yes\nProtectSystem=full\nProtectKernelModules=yes\nProtectKernelTunables=yes\nProtectControlGroups=yes\n")
		wantedBy = "multi-user.target"
	}
	fmt.Fprintf(&b, "\n[Install]\nWantedBy=%s\n", wantedBy)
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
