package test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// downloads lets the browser keep files in a folder.
func (b *tab) downloads() string {
	b.t.Helper()
	dir := b.t.TempDir()
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
	})
	b.must(err)
	return dir
}

// download clicks a link and returns the file that it brings.
func (b *tab) download(dir, name string) []byte {
	b.t.Helper()
	b.click(name)
	var data []byte
	eventually(b.t, name+" is there", func() (bool, error) {
		var err error
		data, err = os.ReadFile(filepath.Join(dir, name))
		return err == nil && len(data) > 0, err
	})
	return data
}

// scan reads the QR code that the page shows there, as a camera does.
func (b *tab) scan(selector string) string {
	b.t.Helper()
	b.until(selector+" is shown", `document.querySelector(args[0])?.getClientRects().length`, selector)
	at := eval[page.Viewport](b, `const e = document.querySelector(args[0]); e.scrollIntoView({block: "center", behavior: "instant"}); const r = e.getBoundingClientRect(); return {x: r.x + scrollX - 20, y: r.y + scrollY - 20, width: r.width + 40, height: r.height + 40, scale: 2}`, selector)
	shot := devtools(b, page.CaptureScreenshot, page.CaptureScreenshotParams{Clip: &at, CaptureBeyondViewport: new(true)})
	file := filepath.Join(b.t.TempDir(), "qr.png")
	must(b.t, os.WriteFile(file, shot.Data, 0o600))
	out, err := exec.Command("zbarimg", "-q", "--raw", file).Output()
	if err != nil {
		b.t.Fatalf("no QR code is read: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// disconnected waits until popbridge has ended a connection.
func disconnected(t *testing.T, c *imapclient.Client) {
	t.Helper()
	eventually(t, "the client is disconnected", func() (bool, error) {
		select {
		case <-c.Closed():
			return true, nil
		default:
			return false, nil
		}
	})
}

// value is what the page shows for a label, to be copied.
func (b *tab) value(label string) string {
	b.t.Helper()
	const dd = `[...document.querySelectorAll("main dl.values dt")].find(e => e.innerText === args[0])?.nextElementSibling.querySelector("code")`
	b.until(fmt.Sprintf("there is a value %q", label), dd, label)
	return eval[string](b, `return `+dd+`.textContent`, label)
}

// A device is added on the page: its password, shown once, logs in; its files are what
// programs read; what it may do is changed; it is revoked, and is disconnected then.
func TestWebDevices(t *testing.T) {
	rig.Need(t, "dovecot", "chromium", "plistutil")
	t.Parallel()
	d := dovecot(t, nil)
	must(t, d.Put("home", testkit.Message(0), testkit.Message(1)))
	home := account(d, "ann@gmx.de")
	home.Username = "home"
	p := prepare(t, home)
	p.Web, p.TLS = "127.0.0.1:0", "starttls"
	must(t, p.Configure(home))
	addOldDevice(t, p, "lap\u202epot", devicePw+devicePw)
	start(t, p)
	command(t, p, 0, "sync")
	c := login(t, p, nil)
	const folder = `<img src=x onerror=alert(1)>`
	must(t, c.Create(folder, nil).Wait())
	const name = `<script>alert(1)</script>&'"`

	b, origin := webPage(t, p)
	dir := b.downloads()
	b.click("Devices")
	b.shows("Connected since")
	b.click("Add a device")
	b.shows("popbridge does not serve the local network")
	b.shows("below it enabled = true")
	b.click("Make its password")
	b.shows("Give it a name.")
	b.enter("Name", "test")
	b.click("Make its password")
	b.shows("There is a device of that name already.")
	b.may = append(b.may, "422")
	eval[bool](b, `document.activeElement.value = "te\u200bst"; return true`) // which no key types
	b.click("Make its password")
	b.shows("is not the name of a device")
	if said := eval[int](b, `return document.querySelectorAll(".failed p:not([lang])").length`); said != 0 {
		t.Error("an English page says twice what happened")
	}
	b.enter("Name", strings.Repeat("long", 17))
	b.click("Make its password")
	b.shows("The name is longer than 64 characters.")
	b.enter("Name", name)
	b.tick("It may only read")
	b.click("Only some folders")
	b.tick("INBOX")
	b.tick(folder)
	b.shot("devices-add")
	b.click("Make its password")
	b.shows("Waiting for its first login…")
	b.shows("The password is shown this once only.")
	password, port := b.value("Password"), b.value("Port")
	if b.value("Server") != "127.0.0.1" || port != fmt.Sprint(p.Port) || b.value("Security") != "STARTTLS" || b.value("User name") != localUser {
		t.Errorf("values: %s", b.text())
	}
	if focus := eval[string](b, `return document.activeElement.tagName`); focus != "H1" {
		t.Errorf("the focus is on %s", focus)
	}
	b.shows("This device may come from this computer only")

	files := map[string][]byte{}
	b.click("For other programs")
	for _, name := range []string{"popbridge.mobileconfig", "gmx.de.xml", "popbridge-ca.crt", "popbridge.mbsyncrc", "popbridge.html"} {
		files[name] = b.download(dir, name)
		if bytes.Contains(files[name], []byte(password)) {
			t.Errorf("the password is in %s", name)
		}
	}
	if out, err := exec.Command("plistutil", "-i", filepath.Join(dir, "popbridge.mobileconfig"), "-f", "bin", "-o", filepath.Join(dir, "p")).CombinedOutput(); err != nil {
		t.Errorf("the profile is none: %v: %s", err, out)
	}
	var autoconfig struct {
		Provider struct {
			Incoming struct {
				Host string `xml:"hostname"`
				Port string `xml:"port"`
			} `xml:"incomingServer"`
		} `xml:"emailProvider"`
	}
	if err := xml.Unmarshal(files["gmx.de.xml"], &autoconfig); err != nil || autoconfig.Provider.Incoming.Host != "127.0.0.1" || autoconfig.Provider.Incoming.Port != port {
		t.Errorf("autoconfig: %v, %+v", err, autoconfig)
	}
	if !bytes.Equal(files["popbridge-ca.crt"], authority(t, p)) {
		t.Errorf("the certificate is another one: %s", files["popbridge-ca.crt"])
	}
	b.shot("devices-made")
	b.resize(390, "dark")
	b.shot("devices-made-390-dark")
	b.fits("devices at 390")
	b.resize(1280, "light")

	// The password logs in, to what was chosen.
	options := &imapclient.Options{TLSConfig: trusting(t, p)}
	client, err := imapclient.DialStartTLS(rig.Addr(p.Port), options)
	must(t, err)
	defer func() { _ = client.Close() }()
	must(t, client.Login(localUser, password).Wait())
	b.gone("Waiting for its first login…")
	boxes, err := client.List("", "*", nil).Collect()
	if err != nil || len(boxes) != 2 {
		t.Errorf("it sees %d folders, %v", len(boxes), err)
	}
	if err := client.Create("new", nil).Wait(); err == nil {
		t.Error("it may read only, and has made a folder")
	}
	b.click("Done")
	b.shows(name)
	b.shows("lap\ufffdpot")
	b.shows("only read")
	b.shot("devices")
	b.resize(1280, "dark")
	b.shot("devices-dark")
	b.resize(320, "light")
	b.shot("devices-320")
	b.fits("devices at 320")
	b.resize(1280, "light")
	if strings.Contains(b.text(), password) {
		t.Error("the password is shown once more")
	}

	// Changed, it comes back with more rights.
	b.click("Change " + name)
	b.tick("It may only read")
	b.tick("It may send mail") // which one of some folders may not by itself
	b.tick(folder)
	b.click("Switch off what its program cannot handle")
	b.tick("MOVE")
	b.shot("devices-change")
	b.click("Save")
	b.gone("only read")
	b.shows(name + " is changed.")
	b.shows("read and change, send")
	b.until("MOVE is off", `[...document.querySelectorAll(".card dd")].some(e => e.innerText === "MOVE")`)
	disconnected(t, client)
	client, err = imapclient.DialStartTLS(rig.Addr(p.Port), options)
	must(t, err)
	must(t, client.Login(localUser, password).Wait())
	if boxes, err := client.List("", "*", nil).Collect(); err != nil || len(boxes) != 1 || client.Caps().Has(imap.CapMove) {
		t.Errorf("it sees %d folders, can do %v, %v", len(boxes), client.Caps(), err)
	}
	_, err = client.Select("INBOX", &imap.SelectOptions{}).Wait()
	must(t, err)

	// All folders are seen by who may see some once that was asked for; nothing else
	// widens that, not even folders that are gone.
	b.click("Change " + name)
	b.tick("INBOX")
	b.click("Save")
	b.shows("No folder is marked, so it would see all mail.")
	b.click("Cancel")
	b.click("Devices")
	b.click("Change lap\ufffdpot")
	b.click("Only some folders")
	b.tick(folder)
	b.click("Save")
	b.click("Change lap\ufffdpot")
	b.until("its folder is marked", `[...document.querySelectorAll("input:checked")].some(e => e.labels[0].innerText === args[0])`, folder)
	must(t, c.Delete(folder).Wait())
	b.tick("It may only read")
	b.click("Save")
	b.shows("nothing: its folders are gone")
	b.click("Change lap\ufffdpot")
	b.tick("It may see all folders")
	b.click("Save")
	b.shows("No folder is marked, so it would see all mail.")
	b.click("Let it see all")
	b.gone("nothing: its folders are gone")

	// Revoked, it is disconnected and cannot come back; the other one stays.
	b.click("Revoke " + name)
	b.shows("It is disconnected at once")
	b.click("Cancel")
	must(t, client.Noop().Wait())
	b.click("Revoke " + name)
	b.click("Revoke")
	disconnected(t, client)
	b.until("its card is gone", `![...document.querySelectorAll("h2")].some(e => e.innerText === args[0])`, name)
	again, err := imapclient.DialStartTLS(rig.Addr(p.Port), options)
	must(t, err)
	defer func() { _ = again.Close() }()
	if err := again.Login(localUser, password).Wait(); err == nil {
		t.Error("a revoked device logs in")
	}
	must(t, c.Noop().Wait())

	// A lost password is replaced: shown once, it logs in, and the former one does not.
	b.click("Set it up: lap\ufffdpot")
	b.shows("If it is lost, make a new one.")
	b.click("New password")
	b.shows("The password that it has ends at once")
	b.click("New password")
	b.shows("The password is shown this once only.")
	fresh := b.value("Password")
	if asks := eval[bool](b, `const e = new Event("beforeunload", {cancelable: true}); return !dispatchEvent(e)`); !asks {
		t.Error("the page can be closed without a question while it shows a password")
	}
	must(t, again.Login(localUser, fresh).Wait())
	b.click("Done")
	b.shows("Connected since")
	if asks := eval[bool](b, `const e = new Event("beforeunload", {cancelable: true}); return !dispatchEvent(e)`); asks {
		t.Error("the browser asks although no password is shown")
	}
	b.quiet(origin)
}

// A phone in the local network: the page shows a link as a QR code, and the values for
// Thunderbird as another one; both are read from a dark page.
func TestWebPhone(t *testing.T) {
	rig.Need(t, "dovecot", "chromium", "ip", "zbarimg", "nsenter")
	t.Parallel()
	r := newLAN(t)
	text, err := os.ReadFile(r.app.ConfigFile())
	must(t, err)
	text = bytes.Replace(bytes.Replace(text, []byte(`listen = "off"`), []byte(`listen = "127.0.0.1:1180"`), 1), []byte(`name = "home"`), []byte(`name = "ann@gmx.de"`), 1)
	must(t, os.WriteFile(r.app.ConfigFile(), text, 0o600))
	r.lan(lanConfig)
	r.eventually("the page and the local network are served", func() error {
		if s := r.run("status", "--json"); !strings.Contains(s, `"web": "127.0.0.1:1180"`) || !strings.Contains(s, `"`+lanAddr+`"`) || !strings.Contains(s, `"192.168.77.1:1465"`) || !strings.Contains(s, `"ann@gmx.de"`) {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	const origin = "http://127.0.0.1:1180"
	b := chromiumAt(t, r.home.script(t, "chromium"))
	b.open(signIn(t, r.app))
	b.resize(1280, "dark")
	b.task("Add my phone", func() {
		b.click("Devices")
		b.click("Add a device")
		b.types("Name", "phone")
		b.tick("It may come from the local network")
		b.click("Make its password")
		b.shows("Scan this with the camera of the phone")
	})
	password := b.value("Password")
	if b.value("Server") != "192.168.77.1" || b.value("Port") != "1993" || b.value("Security") != "TLS" {
		t.Errorf("values: %s", b.text())
	}
	link := b.value("Link")
	if got := b.scan("main section > div > svg.qr"); got != link || !strings.HasPrefix(link, "https://192.168.77.1:1994/") {
		t.Errorf("the QR code says %q, the link is %q", got, link)
	}
	b.click("Thunderbird for Android and K-9")
	const want = `[1,[1,1],[0,"192.168.77.1",1993,3,1,"ann","popbridge: ann@example.com"],[[[0,"192.168.77.1",1465,3,1,"ann"],["ann@example.com",""]]]]`
	if got := b.scan("details > svg.qr"); got != want {
		t.Errorf("the QR code says %s, want %s", got, want)
	}
	b.shot("devices-phone-dark")
	c, err := r.login(password)
	must(t, err)
	defer func() { _ = c.Close() }()
	b.shows("from " + phoneAddr)
	b.click("Done")
	b.shows("this computer and the local network")
	b.click("Revoke phone")
	b.click("Revoke")
	disconnected(t, c)
	b.shows("No mail program can log in yet.")
	b.quiet(origin)
}
