package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// infoPlist describes the application for macOS. LSUIElement keeps a program that ends
// at once out of the Dock. Without LSArchitecturePriority a Mac with Apple silicon wants
// Rosetta for an application that is a script.
const infoPlist = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>CFBundleInfoDictionaryVersion</key>
	<string>6.0</string>
	<key>CFBundlePackageType</key>
	<string>APPL</string>
	<key>CFBundleIdentifier</key>
	<string>io.github.popbridge.open</string>
	<key>CFBundleName</key>
	<string>popbridge</string>
	<key>CFBundleExecutable</key>
	<string>popbridge</string>
	<key>CFBundleIconFile</key>
	<string>popbridge</string>
	<key>CFBundleShortVersionString</key>
	<string>%[1]s</string>
	<key>CFBundleVersion</key>
	<string>%[1]s</string>
	<key>LSUIElement</key>
	<true/>
	<key>LSArchitecturePriority</key>
	<array>
		<string>arm64</string>
		<string>x86_64</string>
	</array>
	<key>NSHighResolutionCapable</key>
	<true/>
</dict>
</plist>
`

// application makes the parts of the application that opens the web page on macOS.
func (r *release) application(context.Context) error {
	version, _, _ := strings.Cut(r.version, "-") // macOS knows three numbers
	icon, err := icns("agent/web/static/icon.svg")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.work, "Info.plist"), fmt.Appendf(nil, infoPlist, version), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.work, "popbridge.icns"), icon, 0o644)
}

// parts are those of the application, from which install.sh makes it: only that knows
// where the program is.
func (r *release) parts() []entry {
	return []entry{
		{"app/Contents/Info.plist", filepath.Join(r.work, "Info.plist"), 0o644},
		{"app/Contents/MacOS/popbridge", "cmd/packages/menu/popbridge.sh", 0o755},
		{"app/Contents/Resources/popbridge.icns", filepath.Join(r.work, "popbridge.icns"), 0o644},
	}
}
