package installer

import (
	"fmt"
	"strings"
)

// launchdPlist renders the property list, see launchd.plist(5). The umask 63
// is 077; launchd takes a decimal number only. Without a ProcessType it slows the
// program down, and mail programs wait for it. What is printed comes before the log is
// open, or from a crash.
func launchdPlist(d definition) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + LaunchLabel + `</string>
	<key>ProgramArguments</key>
	<array>
`)
	for _, arg := range append([]string{d.executable}, d.arguments()...) {
		fmt.Fprintf(&b, "\t\t<string>%s</string>\n", plistEscape(arg))
	}
	b.WriteString("\t</array>\n")
	if len(d.env) > 0 {
		b.WriteString("\t<key>EnvironmentVariables</key>\n\t<dict>\n")
		for _, v := range d.env {
			fmt.Fprintf(&b, "\t\t<key>%s</key>\n\t\t<string>%s</string>\n", v.name, plistEscape(v.value))
		}
		b.WriteString("\t</dict>\n")
	}
	if d.user != "" {
		fmt.Fprintf(&b, "\t<key>UserName</key>\n\t<string>%s</string>\n", plistEscape(d.user))
	}
	fmt.Fprintf(&b, `	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ProcessType</key>
	<string>Interactive</string>
	<key>ThrottleInterval</key>
	<integer>10</integer>
	<key>ExitTimeOut</key>
	<integer>%d</integer>
	<key>Umask</key>
	<integer>63</integer>
	<key>StandardOutPath</key>
	<string>%[2]s</string>
	<key>StandardErrorPath</key>
	<string>%[2]s</string>
</dict>
</plist>
`, stopSeconds, plistEscape(printed(d.log)))
	return b.String()
}

var plistEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "{", "&#123;").Replace

// printed is the file of what a service prints that is not in its log.
func printed(log string) string { return strings.TrimSuffix(log, ".log") + ".stderr.log" }
