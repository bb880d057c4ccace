package main

import (
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/installer"
)

// A msiTable is a table of a database of Windows Installer, as the text that msibuild
// imports: a line of names, of types, of the table and its keys, then the rows.
// https://learn.microsoft.com/windows/win32/msi/text-archive-files
type msiTable struct {
	name    string
	columns string // "Name type Name type": s and l are texts, i numbers; capital: may be empty
	keys    int    // how many of the columns are the key
	rows    [][]string
}

func (t msiTable) text() string {
	var names, types []string
	for i, field := range strings.Fields(t.columns) {
		if i%2 == 0 {
			names = append(names, field)
		} else {
			types = append(types, field)
		}
	}
	lines := [][]string{names, types, append([]string{t.name}, names[:t.keys]...)}
	var b strings.Builder
	for _, line := range append(lines, t.rows...) {
		b.WriteString(strings.Join(line, "\t") + "\r\n")
	}
	return b.String()
}

// Types of custom actions: run a program whose path is in the command line, with a
// folder as the working one.
const (
	runsProgram = 34
	mayFail     = 64
	inScript    = 1024 // when the script of the installation is run, and undone where this fails
	asSystem    = 2048
	whenUndone  = 256 // only where the installation fails afterwards
	setsValue   = 51  // sets a property
)

// Conditions. ALLUSERS is 1 in an installation for the machine, and empty else.
const (
	forUser    = "NOT ALLUSERS"
	forMachine = "ALLUSERS"
	isNew      = "NOT Installed AND NOT UPGRADEFOUND"
	goesAway   = `REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE`
	stays      = `NOT (REMOVE="ALL")`
)

// msiTables are the tables of the .msi. It is for a user, unless it is started with
// ALLUSERS=1. What has to be known of the system the program itself does, when these
// actions call it: what it writes, it finds again.
func (r *release) msiTables(t target, files []msiFile) ([]msiTable, error) {
	version, err := r.msiVersion()
	if err != nil {
		return nil, err
	}
	tables := []msiTable{
		r.msiSummary(t),
		{"Property", "Property s72 Value l0", 1, [][]string{
			{"ProductName", "popbridge"}, {"ProductVersion", version}, {"ProductCode", r.productCode(t)}, {"UpgradeCode", guid("upgrade")},
			{"ProductLanguage", "1033"}, {"Manufacturer", "The popbridge authors"},
			{"ALLUSERS", "2"}, {"MSIINSTALLPERUSER", "1"}, // either, and for a user unless told otherwise
			{"ARPNOMODIFY", "1"}, {"ARPURLINFOABOUT", installer.Homepage}, {"ARPCOMMENTS", summary + ". Version " + r.version + ", commit " + r.commit},
			{"SecureCustomProperties", "UPGRADEFOUND;NEWERFOUND;SERVICEFOUND;SERVICE;CONFIG;DELETEMAIL"},
		}},
		{"Upgrade", "UpgradeCode s38 VersionMin S20 VersionMax S20 Language S255 Attributes i4 Remove S255 ActionProperty s72", 5, [][]string{
			{guid("upgrade"), "", version, "", "512", "", "UPGRADEFOUND"}, // up to and with this version
			{guid("upgrade"), version, "", "", "2", "", "NEWERFOUND"},     // only looked for
		}},
		{"LaunchCondition", "Condition s255 Description l255", 1, [][]string{
			{"Installed OR NOT NEWERFOUND", "A newer version of popbridge is installed. Nothing was changed: an older version may not understand its mail store. To go back, remove the newer one first; mail and config stay."},
			{"NOT SERVICE OR ALLUSERS", "SERVICE=1 is for an installation for the machine: add ALLUSERS=1, in a terminal that was opened as administrator."},
			{`Installed OR VersionNT >= 603`, "popbridge needs Windows 10 or later."},
		}},
		{"AppSearch", "Property s72 Signature_ s72", 2, [][]string{{"SERVICEFOUND", "Service"}}},
		{"RegLocator", "Signature_ s72 Root i2 Key s255 Name S255 Type I2", 1, [][]string{
			{"Service", "2", `SYSTEM\CurrentControlSet\Services\` + installer.ServiceName, "ImagePath", "18"}, // a value, of 64 bits
		}},
		{"Media", "DiskId i2 LastSequence i2 DiskPrompt L64 Cabinet S255 VolumeLabel S32 Source S72", 1, [][]string{
			{"1", strconv.Itoa(len(files)), "", "#" + cabinetName, "", ""},
		}},
	}
	return append(append(tables, msiParts(version, files)...), msiActions()...), nil
}

// msiSummary is the stream of summary information. Its times are those of the commit.
func (r *release) msiSummary(t target) msiTable {
	platform := map[string]string{"amd64": "x64", "arm64": "Arm64"}[t.arch]
	at := r.date.Format("2006/01/02 15:04:05")
	return msiTable{"_SummaryInformation", "PropertyId i2 Value l255", 1, [][]string{
		{"1", "1252"}, {"2", "Installation Database"}, {"3", "popbridge " + r.version}, {"4", "The popbridge authors"}, {"5", "Installer"},
		{"6", "commit " + r.commit}, {"7", platform + ";1033"}, {"9", guid("package", r.version, r.commit, t.arch)},
		{"12", at}, {"13", at}, {"14", "500"}, {"15", "2"}, {"18", "popbridge"}, {"19", "2"},
	}}
}

// msiParts are the tables of what is installed.
func msiParts(version string, files []msiFile) []msiTable {
	const bits64 = 256
	component := func(name, folder, condition, key string) []string {
		return []string{name, guid("component", name), folder, strconv.Itoa(bits64), condition, key}
	}
	components := [][]string{
		component("PathOfUser", "Program", forUser, ""),
		component("PathOfMachine", "Program", forMachine, ""),
		component("Service", "Program", forMachine, ""),
	}
	var rows [][]string
	for i, f := range files {
		components = append(components, component(f.long, "Program", "", f.key))
		fileVersion := ""
		if f.long == "popbridge.exe" {
			fileVersion = version + ".0"
		}
		rows = append(rows, []string{f.key, component(f.long, "", "", "")[0], f.short + "|" + f.long, strconv.FormatInt(f.size, 10), fileVersion, "", "512", strconv.Itoa(i + 1)})
	}
	var inFeature [][]string
	for _, c := range components {
		inFeature = append(inFeature, []string{"Everything", c[0]})
	}
	return []msiTable{
		{"Directory", "Directory s72 Directory_Parent S72 DefaultDir l255", 1, [][]string{
			{"TARGETDIR", "", "SourceDir"}, {"ProgramMenuFolder", "TARGETDIR", "."}, {"System64Folder", "TARGETDIR", "."}, {"Program", "TARGETDIR", "POPBRI~1|popbridge"},
		}},
		{"Feature", "Feature s38 Feature_Parent S38 Title L64 Description L255 Display I2 Level i2 Directory_ S72 Attributes i2", 1, [][]string{
			{"Everything", "", "popbridge", summary, "1", "1", "", "0"},
		}},
		{"Component", "Component s72 ComponentId S38 Directory_ s72 Attributes i2 Condition S255 KeyPath S72", 1, components},
		{"FeatureComponents", "Feature_ s38 Component_ s72", 2, inFeature},
		{"File", "File s72 Component_ s72 FileName l255 FileSize i4 Version S72 Language S20 Attributes I2 Sequence i2", 1, rows},
		{"CreateFolder", "Directory_ s72 Component_ s72", 2, [][]string{{"Program", "PathOfUser"}, {"Program", "PathOfMachine"}, {"Program", "Service"}}},
		{"Environment", "Environment s72 Name l255 Value L255 Component_ s72", 1, [][]string{
			{"PathOfUser", "=-PATH", "[~];[Program]", "PathOfUser"}, {"PathOfMachine", "=-*PATH", "[~];[Program]", "PathOfMachine"},
		}},
		{"Shortcut", "Shortcut s72 Directory_ s72 Name l128 Component_ s72 Target s72 Arguments S255 Description L255 Hotkey I2 Icon_ S72 IconIndex I2 ShowCmd I2 WkDir S72", 1, [][]string{
			{"Open", "ProgramMenuFolder", "POPBRI~2|popbridge", "popbridge.exe", "[Program]popbridge.exe", "open", "See that your mail flows, and set it up", "", "", "", "7", ""},
			{"Status", "ProgramMenuFolder", "POPBRI~1|popbridge status", "popbridge.exe", "[System64Folder]cmd.exe", `/k ""[Program]popbridge.exe" status"`, "How popbridge is doing", "", "", "", "", ""},
		}},
		{"ServiceControl", "ServiceControl s72 Name l255 Event i2 Arguments S255 Wait I2 Component_ s72", 1, [][]string{
			{"Service", installer.ServiceName, "34", "", "1", "Service"}, // is stopped before files are replaced or removed
		}},
	}
}

// msiActions are what the program does itself, and the order of all.
func msiActions() []msiTable {
	var actions, sequence [][]string
	run := func(name string, kind int, command, condition string, at int) {
		actions = append(actions, []string{name, strconv.Itoa(runsProgram + kind), "Program", command})
		sequence = append(sequence, []string{name, condition, strconv.Itoa(at)})
	}
	call := func(name string, kind int, arguments, condition string, at int) {
		run(name, kind, `"[Program]popbridge.exe" `+arguments, condition, at)
	}
	folder := func(name, value, condition string, at int) {
		actions = append(actions, []string{name, strconv.Itoa(setsValue), "Program", value})
		sequence = append(sequence, []string{name, condition, strconv.Itoa(at)})
	}
	folder("FolderOfUser", `[LocalAppDataFolder]Programs\popbridge\`, forUser, 850)
	folder("FolderOfMachine", `[ProgramFiles64Folder]popbridge\`, forMachine, 851)
	call("StopAgent", mayFail, "stop --system=false", forUser+" AND (Installed OR UPGRADEFOUND)", 1390)
	call("DeleteMail", inScript, "uninstall --system=false --delete-mail --yes", forUser+" AND "+goesAway+` AND DELETEMAIL="yes"`, 1950)
	call("RemoveLogon", inScript, "logon remove", forUser+" AND "+goesAway, 1951)
	call("RemoveService", inScript+asSystem+mayFail, "uninstall --system", forMachine+" AND "+goesAway+" AND SERVICEFOUND", 1952)
	call("AddLogon", inScript, "logon add", forUser+" AND "+isNew, 5300)
	newService := forMachine + " AND " + isNew + " AND SERVICE AND NOT SERVICEFOUND"
	call("UndoService", inScript+whenUndone+asSystem+mayFail, "uninstall --system", newService, 5799)
	call("AddService", inScript, "install --system [CONFIGOPTION]", newService, 5800)
	run("StartService", inScript+asSystem+mayFail, `"[System64Folder]sc.exe" start `+installer.ServiceName, forMachine+" AND "+stays+" AND (SERVICE OR SERVICEFOUND)", 5900)
	call("StartAgent", mayFail, "start --system=false", forUser+" AND "+stays, 6650)
	actions = append(actions, []string{"ConfigOption", strconv.Itoa(setsValue), "CONFIGOPTION", `--config "[CONFIG]"`})
	sequence = append(sequence, []string{"ConfigOption", "CONFIG", "852"})
	for _, standard := range []string{
		"FindRelatedProducts 25", "AppSearch 50", "LaunchConditions 100", "ValidateProductID 700", "CostInitialize 800", "FileCost 900", "CostFinalize 1000",
		"InstallValidate 1400", "InstallInitialize 1500", "RemoveExistingProducts 1510", "ProcessComponents 1600", "UnpublishFeatures 1800", "StopServices 1900",
		"RemoveShortcuts 3200", "RemoveEnvironmentStrings 3300", "RemoveFiles 3500", "RemoveFolders 3600", "CreateFolders 3700", "InstallFiles 4000",
		"CreateShortcuts 4500", "WriteEnvironmentStrings 5200", "RegisterUser 6000", "RegisterProduct 6100",
		"PublishFeatures 6300", "PublishProduct 6400", "InstallFinalize 6600",
	} {
		name, at, _ := strings.Cut(standard, " ")
		condition := ""
		if name == "StopServices" {
			condition = "VersionNT"
		}
		sequence = append(sequence, []string{name, condition, at})
	}
	const columns = "Action s72 Condition S255 Sequence I2"
	ui := [][]string{{"FindRelatedProducts", "", "25"}, {"AppSearch", "", "50"}, {"LaunchConditions", "", "100"}, {"ValidateProductID", "", "700"}, {"CostInitialize", "", "800"},
		{"FolderOfUser", forUser, "850"}, {"FolderOfMachine", forMachine, "851"}, {"FileCost", "", "900"}, {"CostFinalize", "", "1000"}, {"ExecuteAction", "", "1300"}}
	admin := [][]string{{"CostInitialize", "", "800"}, {"FileCost", "", "900"}, {"CostFinalize", "", "1000"}, {"InstallValidate", "", "1400"}, {"InstallInitialize", "", "1500"},
		{"InstallAdminPackage", "", "3900"}, {"InstallFiles", "", "4000"}, {"InstallFinalize", "", "6600"}}
	return []msiTable{
		{"CustomAction", "Action s72 Type i2 Source S72 Target S255", 1, actions},
		{"InstallExecuteSequence", columns, 1, sequence},
		{"InstallUISequence", columns, 1, ui},
		{"AdminExecuteSequence", columns, 1, admin},
	}
}
