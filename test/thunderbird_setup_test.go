//go:build unix

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A Thunderbird that has never run, set up by client-setup alone: it asks for the
// password, and reads the mail.
func TestThunderbirdSetUpByClientSetup(t *testing.T) {
	rig.Need(t, "dovecot", "thunderbird", "certutil")
	t.Parallel()
	d := dovecot(t, nil)
	messages := [][]byte{testkit.Message(0), testkit.Message(1), testkit.Message(2)}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	p := overTLS(t, "starttls", d)
	p.Env = append(p.Env, "HOME="+home)

	out := command(t, p, 0, "client-setup", "--thunderbird").Stdout
	profile := filepath.Join(home, ".thunderbird", "popbridge")
	if !strings.Contains(out, "is added to Thunderbird, in the profile "+profile) {
		t.Errorf("it says %s", out)
	}
	write(t, filepath.Join(profile, "user.js"), rig.ThunderbirdAutomation)
	trust(t, p, profile)
	b := startThunderbirdAt(t, "thunderbird", home, profile)
	b.script(t, nil, `await tb.openAccount(...args)`, devicePw, len(messages))
	b.script(t, nil, `await tb.read("INBOX", args[0])`, messageID(t, messages[1]))
	var sends []string
	b.script(t, &sends, `return tb.account.identities.map(i => [i.email, ...tb.smtp(i)].join(" "))`)
	if want := []string{"ann@gmx.de mail.gmx.net 465 3 ann@gmx.de"}; fmt.Sprint(sends) != fmt.Sprint(want) {
		t.Errorf("Thunderbird writes from %q, want %q", sends, want)
	}
	// What Thunderbird exports for phones has the form of the QR codes that client-setup
	// prints (TestAndroidQR in installer/clientfiles); both may leave empty ends out.
	var export string
	b.script(t, &export, `
		const { QRExport } = ChromeUtils.importESModule("moz-src:///comm/mail/modules/QRExport.sys.mjs");
		return JSON.stringify(QRExport.getQRData(await QRExport.getAccountData(tb.account.key, false), 1, 1));
	`)
	if want := fmt.Sprintf(`[1,[1,1],[0,"127.0.0.1",%d,2,1,%q,"ann@gmx.de",""],[[[0,"mail.gmx.net",465,3,1,"ann@gmx.de",""],["ann@gmx.de",""]]]]`, p.Port, localUser); export != want {
		t.Errorf("Thunderbird exports %s, want %s", export, want)
	}
	if out := command(t, p, 1, "client-setup", "--thunderbird").Stderr; !strings.Contains(out, "Thunderbird is running") {
		t.Errorf("while it runs: %s", out)
	}
}

// trust makes the authority known to a profile.
func trust(t *testing.T, p *rig.Popbridge, profile string) {
	t.Helper()
	db := "sql:" + profile
	program(t, profile, "certutil", "-N", "-d", db, "--empty-password")
	program(t, profile, "certutil", "-A", "-d", db, "-n", "popbridge", "-t", "C,,", "-i", filepath.Join(p.Data, "tls", "ca.pem"))
}

// Thunderbird's own discovery finds popbridge by the file in its folder isp, before the
// servers that the provider names. Its program folder is a copy, of links.
func TestThunderbirdFindsPopbridgeForADomain(t *testing.T) {
	rig.Need(t, "dovecot", "thunderbird")
	t.Parallel()
	dir := t.TempDir()
	p := overTLS(t, "starttls", dovecot(t, nil))
	files := filepath.Join(dir, "files")
	command(t, p, 0, "client-setup", "--out", files)
	program := thunderbirdProgram(t, dir)
	must(t, os.Rename(filepath.Join(files, "gmx.de.xml"), filepath.Join(program, "isp", "gmx.de.xml")))

	profile := filepath.Join(dir, "profile")
	must(t, os.Mkdir(profile, 0o700))
	write(t, filepath.Join(profile, "user.js"), rig.ThunderbirdAutomation+`user_pref("network.dns.disabled", true);
user_pref("mail.provider.suppress_dialog_on_startup", true);
`)
	b := startThunderbirdAt(t, filepath.Join(program, "thunderbird"), dir, profile, "--profile", profile)
	var found []string
	b.script(t, &found, `
		const { FindConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/FindConfig.sys.mjs");
		const search = FindConfig.parallelAutoDiscovery("gmx.de", "ann@gmx.de", new AbortController().signal);
		const { value } = await search.next();
		const { AccountConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/AccountConfig.sys.mjs");
		AccountConfig.replaceVariables(value, "Ann", "ann@gmx.de");
		return [value.subSource, ...[value.incoming, value.outgoing].map(s => [s.type, s.hostname, s.port, s.socketType, s.username].join(" "))];
	`)
	want := []string{"xml-from-disk", fmt.Sprintf("imap 127.0.0.1 %d 2 %s", p.Port, localUser), "smtp mail.gmx.net 465 3 ann@gmx.de"}
	if fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("Thunderbird found %q, want %q", found, want)
	}
}

// thunderbirdProgram makes a program folder whose files are those of the installed
// one, with a folder isp of its own.
func thunderbirdProgram(t *testing.T, dir string) string {
	t.Helper()
	const installed = "/usr/lib/thunderbird"
	program := filepath.Join(dir, "thunderbird")
	must(t, os.MkdirAll(filepath.Join(program, "isp"), 0o700))
	entries, err := os.ReadDir(installed)
	must(t, err)
	for _, e := range entries {
		from, to := filepath.Join(installed, e.Name()), filepath.Join(program, e.Name())
		switch e.Name() {
		case "isp":
		case "thunderbird", "thunderbird-bin": // finds its folder by its own file
			raw, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, raw, 0o700))
		default:
			must(t, os.Symlink(from, to))
		}
	}
	return program
}
