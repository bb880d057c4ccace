package test

import (
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// An account that does not send gets its addresses and its outgoing server on the page:
// what is wrong is said at its field, no password that is stored goes to a server that was
// entered, and then mail leaves.
func TestWebSending(t *testing.T) {
	rig.Need(t, "chromium", "npm")
	t.Parallel()
	w := newWayOut(t, "off")
	command(t, w.Popbridge, 0, "account", "set", "home", "address=", "send.host=", "send.port=", "send.tls=")
	b, origin := webPage(t, w.Popbridge)
	b.may = append(b.may, "422") // what was refused
	b.shows("The account is up to date")
	b.open(origin + "/#/account/home")
	b.click("Sending")
	b.shows("popbridge does not send for this account: its outgoing server is not known.")

	const addresses = "Addresses that it sends from"
	b.enter(addresses, "ann@example.org, info")
	b.click("Save")
	b.shows("\"info\" is not a mail address")
	narrow(b)
	must(t, os.WriteFile(w.ConfigFile(), []byte(w.config(t)+"\n[[account]]\nname = \"other\"\nhost = \"127.0.0.1\"\nusername = \"other\"\naddress = \"other@example.org\"\npaused = true\n"+
		"password_file = \"none\"\nuser = \""+localUser+"\"\n"), 0o600))
	b.enter(addresses, "ann@example.org, info@example.org, ANN@example.org, other@example.org")
	b.click("Save")
	b.shows("Saved.")
	b.shows("Mail from other@example.org leaves by the account other, which has this address, too.")
	if got := w.config(t); !strings.Contains(got, `"info@example.org","other@example.org"]`) {
		t.Errorf("an address is there twice:\n%s", got)
	}
	narrow(b)
	b.enter(addresses, "ann@example.org, info@example.org")
	b.click("Save")
	b.gone("leaves by the account other")
	command(t, w.Popbridge, 0, "account", "remove", "other")

	b.pick("Send by", "The server below")
	b.everywhere("account-sending")
	b.enter(addresses, "ann@gmx.de")
	b.click("Find the server") // of what is not saved
	b.shows("Found: mail.gmx.net.")
	b.enter(addresses, "ann@example.org, info@example.org")
	b.enter("Server", "127.evil.test")
	b.pick("Encryption", "none")
	b.enter("Port", "25x")
	b.click("Test and save")
	b.shows("A port is a number from 1 to 65535.")
	b.shows("Enter the password.")
	b.enter("Port", "25")
	b.enter("Password at the provider", "guess")
	b.click("Test and save")
	b.shows("The connection to 127.evil.test is not encrypted")
	b.click("Cancel")
	b.enter("Server", "127.0.0.1 ")
	b.pick("Encryption", "TLS (usual)")
	b.enter("Port", strconv.Itoa(w.postfix.SMTPS))
	b.enter("User name", "ann")
	b.click("Test and save")
	b.shows("The provider does not take this user name or password")
	b.shot("account-sending-refused")
	if got := w.config(t); strings.Contains(got, strconv.Itoa(w.postfix.SMTPS)) {
		t.Errorf("what was refused is in the config:\n%s", got)
	}
	b.enter("Password at the provider", rig.Password)
	b.press("\r")
	taken := "Logged in at " + rig.Addr(w.postfix.SMTPS) + ", and saved."
	b.shows(taken)
	b.shows("Sends by " + rig.Addr(w.postfix.SMTPS) + " (TLS (usual)) as ann; this server is set here.")
	w.submit(t, "info@example.org", "shared")
	w.arrives(t, 1, "shared", nil)

	b.reload()
	b.tick("This server has a password of its own")
	b.enter("Password at the provider", "guess")
	b.click("Test and save")
	b.shows("The provider does not take this user name or password")
	b.enter("Password at the provider", rig.Password)
	b.click("Test and save")
	b.shows(taken)
	if _, err := os.Stat(filepath.Join(w.Dir, "home-send.password")); err != nil || !strings.Contains(w.config(t), `= "home-send.password"`) {
		t.Errorf("%v\n%s", err, w.config(t))
	}
	w.submit(t, "ann@example.org", "own")
	w.arrives(t, 2, "own", nil)
	b.click("Password and server")
	b.shows("The password for sending is another one: Sending")

	// A refused one is entered where it is kept: beside the server that it is for. The login
	// before is over by then, which was kept for a burst.
	time.Sleep(6 * time.Second)
	must(t, os.WriteFile(filepath.Join(w.Dir, "home-send.password"), []byte("old\n"), 0o600))
	w.submit(t, "ann@example.org", "refused")
	b.open(origin + "/#/")
	b.shows("The provider refuses the password with which home sends")
	b.click("Look at the account")
	b.shows("This server has a password of its own")
	b.enter("Password at the provider", rig.Password)
	b.click("Test and save")
	b.shows(taken)
	w.arrives(t, 3, "refused", nil)

	b.open(origin + "/#/account/home/sending")
	b.pick("Send by", "No server: nothing is sent")
	b.click("Test and save")
	b.shows("popbridge does not send for this account: its outgoing server is not known.")
	eval[bool](b, `localStorage.setItem("popbridge-language", "de"); return true`)
	b.reload()
	b.shows("Der Postausgangsserver ist nicht bekannt.")
	b.pick("Senden über", "Den folgenden Server")
	b.accessible("in German")
	narrow(b)
	b.shot("account-sending-german")
	b.quiet(origin)
}

func (w *wayOut) config(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(w.ConfigFile())
	must(t, err)
	return string(text)
}

// submit hands a message to popbridge, as a mail program does.
func (w *wayOut) submit(t *testing.T, from, subject string) {
	t.Helper()
	must(t, rig.WaitPort(t.Context(), w.SMTP, nil))
	must(t, smtp.SendMail(rig.Addr(w.SMTP), smtp.PlainAuth("", localUser, devicePw, "127.0.0.1"), from, []string{"bob@example.org"},
		[]byte("From: "+from+"\r\nTo: bob@example.org\r\nSubject: "+subject+"\r\n\r\nhello\r\n")))
}
