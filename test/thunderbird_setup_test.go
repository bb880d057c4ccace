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

// automation is what makes Thunderbird listen to a test, and keeps it from calling
// home. It connects when it is told, as a question for the password at the start
// would keep the test from beginning. It has nothing else of an account.
const automation = `user_pref("marionette.port", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("app.donation.eoy.version.viewed", 999);
user_pref("mailnews.start_page.enabled", false);
user_pref("mail.server.server1.login_at_startup", false);
user_pref("mail.server.server1.check_new_mail", false);
`

// A Thunderbird that has never run, set up by client-setup alone: it asks for the
// password, and reads the mail. A second time nothing is added; where the port is
// another one, the account follows.
func TestThunderbirdSetUpByClientSetup(t *testing.T) {
	rig.Need(t, "dovecot", "thunderbird", "certutil")
	t.Parallel()
	d := dovecot(t, nil)
	messages := [][]byte{testkit.Message(0), testkit.Message(1), testkit.Message(2)}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	p := gmxOverTLS(t, d, home)

	out := command(t, p, 0, "client-setup", "--thunderbird").Stdout
	profile := filepath.Join(home, ".thunderbird", "popbridge")
	if !strings.Contains(out, "is added to Thunderbird, in the profile "+profile) {
		t.Errorf("it says %s", out)
	}
	write(t, filepath.Join(profile, "user.js"), automation)
	trust(t, p, profile)
	b := startThunderbirdAt(t, home, profile)
	js, err := os.ReadFile("testdata/thunderbird.js")
	if err != nil {
		t.Fatal(err)
	}
	b.script(t, nil, string(js))
	b.script(t, nil, `await tb.openAccount(args[0])`, devicePw)
	b.script(t, nil, `
		await tb.until("INBOX", () => "INBOX" in tb.folders());
		await tb.open("INBOX", args[0]);
	`, len(messages))
	b.script(t, nil, `await tb.read("INBOX", args[0])`, messageID(t, messages[1]))
	var sends []string
	b.script(t, &sends, `return tb.account.identities.map(i => [i.email, ...tb.smtp(i)].join(" "))`)
	if want := []string{"ann@gmx.de mail.gmx.net 465 3 ann@gmx.de"}; fmt.Sprint(sends) != fmt.Sprint(want) {
		t.Errorf("Thunderbird writes from %q, want %q", sends, want)
	}
	if out := command(t, p, 1, "client-setup", "--thunderbird").Stderr; !strings.Contains(out, "Thunderbird is running") {
		t.Errorf("while it runs: %s", out)
	}
}

// gmxOverTLS runs an agent whose account is one of a provider that the table knows,
// with a home folder for the programs.
func gmxOverTLS(t *testing.T, d *rig.Dovecot, home string) *rig.Popbridge {
	t.Helper()
	gmx := account(d, "home")
	gmx.Name = "ann@gmx.de"
	p := prepare(t, gmx)
	p.TLS = "starttls"
	if err := p.Configure(gmx); err != nil {
		t.Fatal(err)
	}
	p.Env = append(p.Env, "HOME="+home)
	start(t, p)
	command(t, p, 0, "sync")
	return p
}

// trust makes the authority known to a profile.
func trust(t *testing.T, p *rig.Popbridge, profile string) {
	t.Helper()
	db := "sql:" + profile
	program(t, profile, "certutil", "-N", "-d", db, "--empty-password")
	program(t, profile, "certutil", "-A", "-d", db, "-n", "popbridge", "-t", "C,,", "-i", filepath.Join(p.Data, "tls", "ca.pem"))
}
