package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// TestMSIVersions: what Windows compares has three numbers of 8, 8 and 16 bits.
func TestMSIVersions(t *testing.T) {
	for version, want := range map[string]string{
		"1.2.3": "1.2.3", "0.10.0-rc.1": "0.10.0", "0.0.0-20260102150405-0123456789ab": "0.0.0", "255.255.65535": "255.255.65535",
		"256.0.0": "", "1.256.0": "", "1.2.65536": "",
	} {
		r := small(t)
		r.version = version
		if got, err := r.msiVersion(); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", version, got, err)
		}
	}
}

// TestIdentities: Windows knows popbridge, and what it has installed of it, by these for
// ever. Another release is another product, with parts of the same names.
func TestIdentities(t *testing.T) {
	one, other := small(t), small(t)
	other.commit = strings.Repeat("f", 40)
	amd64, arm64 := target{"windows", "amd64"}, target{"windows", "arm64"}
	codes := []string{one.productCode(amd64), one.productCode(arm64), other.productCode(amd64), guid("package", one.version, one.commit, "amd64")}
	slices.Sort(codes)
	if len(slices.Compact(codes)) != 4 {
		t.Errorf("two are the same of %v", codes)
	}
	if got := guid("upgrade"); got != "{4363AB81-26BB-508A-A426-DC3DABDBC4BF}" {
		t.Errorf("the upgrade code changed to %s: no release would take the place of a former one", got)
	}
	if got := guid("component", "popbridge.exe"); got != "{A9C4D002-8D22-5B85-97DB-126386E23E06}" {
		t.Errorf("the program is another component now: %s", got)
	}
}

// TestWithoutTheTools: the rest of a release is made where no .msi can be.
func TestWithoutTheTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r := small(t)
	r.targets = platforms
	if err := r.installers(t.Context()); err != nil {
		t.Error(err)
	}
}

// table is what msiinfo exports of a table of a .msi: rows by their first column.
func table(t *testing.T, msi, name string) map[string][]string {
	t.Helper()
	out, err := exec.Command("msiinfo", "export", msi, name).Output()
	if err != nil {
		t.Fatalf("table %s: %v", name, err)
	}
	rows := map[string][]string{}
	lines := strings.Split(strings.TrimRight(string(out), "\r\n"), "\n")
	for _, line := range lines[3:] { // after names, types, keys
		row := strings.Split(strings.TrimSuffix(line, "\r"), "\t")
		rows[row[0]] = row
	}
	return rows
}

// checkMSI looks into a .msi: its tables fit together, and it has version, commit and
// date of the release.
func checkMSI(t *testing.T, r *release, msi string, to target) {
	t.Helper()
	sequence := table(t, msi, "InstallExecuteSequence")
	for _, action := range []string{"FindRelatedProducts", "LaunchConditions", "CostFinalize", "InstallValidate", "RemoveExistingProducts", "StopServices",
		"RemoveFiles", "InstallFiles", "WriteEnvironmentStrings", "RemoveEnvironmentStrings", "CreateShortcuts", "RemoveShortcuts", "CreateFolders", "RemoveFolders", "RegisterProduct", "PublishProduct", "InstallFinalize"} {
		if sequence[action] == nil {
			t.Errorf("%s is in no sequence", action)
		}
	}
	at := func(action string) int { n, _ := strconv.Atoi(sequence[action][2]); return n }
	for _, order := range [][2]string{{"FindRelatedProducts", "LaunchConditions"}, {"FolderOfUser", "CostFinalize"}, {"StopAgent", "InstallValidate"}, {"InstallInitialize", "RemoveExistingProducts"},
		{"RemoveExistingProducts", "InstallFiles"}, {"DeleteMail", "RemoveLogon"}, {"RemoveLogon", "RemoveFiles"}, {"InstallFiles", "AddLogon"}, {"AddLogon", "InstallFinalize"}, {"InstallFinalize", "StartAgent"}} {
		if at(order[0]) >= at(order[1]) {
			t.Errorf("%s is not before %s", order[0], order[1])
		}
	}
	for action := range table(t, msi, "CustomAction") {
		if sequence[action] == nil {
			t.Errorf("the action %s is never run", action)
		}
	}
	// Mail is deleted only by who asks for it, and never by an upgrade.
	if condition := sequence["DeleteMail"][1]; !strings.Contains(condition, `REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE`) || !strings.Contains(condition, `DELETEMAIL="yes"`) {
		t.Errorf("mail is deleted when %s", condition)
	}
	files, components, inFeature := table(t, msi, "File"), table(t, msi, "Component"), map[string]bool{}
	for _, row := range table(t, msi, "FeatureComponents") {
		inFeature[row[0]] = true
	}
	seen := map[string]bool{}
	for name, c := range components {
		if id := c[1]; seen[id] || len(id) != 38 {
			t.Errorf("component %s: the GUID %s is no own one", name, id)
		}
		seen[c[1]] = true
		if key := c[5]; key != "" && (files[key] == nil || files[key][1] != name) {
			t.Errorf("component %s: the key path %s is no file of it", name, key)
		}
	}
	for name, want := range map[string]string{"PathOfUser": "NOT ALLUSERS", "PathOfMachine": "ALLUSERS", "Service": "ALLUSERS"} {
		if components[name] == nil || components[name][4] != want {
			t.Errorf("component %s: %v", name, components[name])
		}
	}
	properties := table(t, msi, "Property")
	for name, want := range map[string]string{"ProductVersion": "1.2.3", "ALLUSERS": "2", "MSIINSTALLPERUSER": "1", "ProductCode": r.productCode(to), "UpgradeCode": guid("upgrade")} {
		if properties[name] == nil || properties[name][1] != want {
			t.Errorf("property %s: %v", name, properties[name])
		}
	}
	info, err := exec.Command("msiinfo", "suminfo", msi).Output()
	for _, want := range []string{r.version, r.commit, map[string]string{"amd64": "x64;1033", "arm64": "Arm64;1033"}[to.arch], r.date.Local().Format("2006")} {
		if err != nil || !bytes.Contains(info, []byte(want)) {
			t.Errorf("the summary lacks %q, %v:\n%s", want, err, info)
		}
	}
}

// TestSigned signs the program and the .msi with a certificate of its own, and has both
// signatures verified. The programs are small here: only what is done with them counts.
func TestSigned(t *testing.T) {
	rig.Need(t, "msibuild", "msiinfo", "gcab", "openssl", "osslsigncode")
	t.Chdir(testkit.ModuleRoot(t))
	r := small(t)
	to := target{"windows", "amd64"}
	r.targets = []target{to}
	keys := t.TempDir()
	key, certificate := filepath.Join(keys, "key.pem"), filepath.Join(keys, "certificate.pem")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=popbridge test", "-addext", "extendedKeyUsage=codeSigning",
		"-keyout", key, "-out", certificate).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script := filepath.Join(keys, "sign")
	text := fmt.Sprintf("#!/bin/sh\nset -e\nosslsigncode sign -certs %s -key %s -h sha256 -in \"$1\" -out \"$1.signed\"\nmv \"$1.signed\" \"$1\"\n", certificate, key)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	r.signer = []string{script}
	source := filepath.Join(keys, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", r.program(to), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH=amd64")
	if err := runCommand(build); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{r.licenceFile(), r.materialsFile(to)} {
		if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, do := range []error{r.describe(t.Context(), r.program(to)), r.sign(t.Context(), r.program(to)), r.installers(t.Context())} {
		if do != nil {
			t.Fatal(do)
		}
	}
	msi := filepath.Join(r.out, r.name(to, ".msi"))
	checkMSI(t, r, msi, to)
	for _, file := range []string{r.program(to), msi} {
		if out, err := exec.Command("osslsigncode", "verify", "-CAfile", certificate, "-in", file).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Signature verification: ok")) {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
	program, err := os.ReadFile(r.program(to))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FileVersion", "1.2.3", summary, "commit " + r.commit, "Copyright (c)"} {
		if !bytes.Contains(program, utf16(want)) {
			t.Errorf("the properties of the program lack %q", want)
		}
	}
	program[len(program)/2] ^= 1 // the check can fail
	if err := os.WriteFile(r.program(to), program, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("osslsigncode", "verify", "-CAfile", certificate, "-in", r.program(to)).CombinedOutput(); err == nil {
		t.Errorf("a changed program verifies:\n%s", out)
	}
}

// utf16 is ASCII as Windows has it.
func utf16(s string) []byte {
	wide, _ := hex.DecodeString(strings.ReplaceAll(fmt.Sprintf("% x", s), " ", "00") + "00")
	return wide
}
