package clientfiles

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/test/rig"
)

var update = flag.Bool("update", false, "write what is made as what is wanted")

// ann has two addresses, one whose outgoing server is known.
var ann = Mailbox{
	Device: "laptop", User: "ann", Host: "127.0.0.1", Port: 1143, TLS: discover.StartTLS,
	Authority: []byte("a certificate"), CAFile: "/home/ann/.local/share/popbridge/tls/ca.pem",
	Identities: []Identity{
		{Address: "ann@gmx.de", SMTP: discover.Server{Host: "mail.gmx.net", Port: 465, TLS: discover.Implicit, Username: "ann@gmx.de"}},
		{Address: "ann@example.com"},
		{Address: "a.n@web.de", SMTP: discover.Server{Host: "smtp.web.de", Port: 587, TLS: discover.StartTLS, Username: "a.n"}},
	},
}

// odd has every character that means something to one of the formats.
var odd = Mailbox{
	Device: `"kids" & <co> 'x'`, User: "jörg`id`$HOME %s \"&<b>' ;#\\", Host: "::1", Port: 993, TLS: discover.Implicit,
	Authority: []byte{0xff, 0}, CAFile: `/home/jörg's "mail" & $(x)/100%/ca.pem`,
	Identities: []Identity{{Address: `"a&b%;#c'd"@xn--mller-kva.de`, SMTP: discover.Server{Host: "smtp.example.com", Port: 25, TLS: discover.None, Username: `j"ö&<rg>'@%`}}},
}

// here sends through popbridge, too.
var here = Mailbox{
	Device: "laptop", User: "ann", Host: "127.0.0.1", Port: 1143, TLS: discover.StartTLS, Authority: []byte("a certificate"), CAFile: "/ca.pem",
	Identities: []Identity{
		{Address: "ann@gmx.de", SMTP: discover.Server{Host: "127.0.0.1", Port: 1587, TLS: discover.StartTLS, Username: "ann"}, Here: true},
		{Address: "info@gmx.de", SMTP: discover.Server{Host: "127.0.0.1", Port: 1587, TLS: discover.StartTLS, Username: "ann"}, Here: true},
	},
}

// bare has nothing that may be missing.
var bare = Mailbox{User: "bob", Host: "localhost", Port: 1143, TLS: discover.None}

var mailboxes = map[string]Mailbox{"ann": ann, "odd": odd, "bare": bare, "here": here}

// Where the provider takes a token, no text speaks of a password of the mailbox there.
func TestAProviderThatTakesNoPassword(t *testing.T) {
	m := ann
	m.Identities = []Identity{
		{Address: "ann@outlook.com", SMTP: discover.Server{Host: "smtp.example.com", Port: 587, TLS: discover.StartTLS, Username: "ann@outlook.com", Auth: []discover.Auth{discover.OAuth2}}},
		{Address: "ann@example.com", SMTP: discover.Server{Auth: []discover.Auth{discover.OAuth2}}},
	}
	said := 0
	for _, f := range append(m.Files("27 November 2026"), File{Name: "values.txt", Data: []byte(m.Values("abcd-efgh"))}) {
		text := string(f.Data)
		if strings.Contains(text, "password of the mailbox") || strings.Contains(text, "that of the mailbox") {
			t.Errorf("%s: %s", f.Name, text)
		}
		if strings.Contains(text, "choose OAuth2") || strings.Contains(text, "+oauthbearer") || strings.Contains(text, "OAuth2</authentication>") {
			said++
		}
	}
	if said != 4 {
		t.Errorf("it is said in %d files", said)
	}
}

func TestGolden(t *testing.T) {
	for name, m := range mailboxes {
		files := append(m.Files("27 November 2026"), File{Name: "values.txt", Data: []byte(m.Values("abcd-efgh"))})
		for _, f := range files {
			golden := filepath.Join("testdata", name+"-"+f.Name)
			if *update {
				if err := os.WriteFile(golden, f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(f.Data)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", golden, diff)
			}
		}
	}
}

// TestValuesSurviveXML reads documents back: whatever is in a value is text there.
func TestValuesSurviveXML(t *testing.T) {
	for name, m := range mailboxes {
		documents := map[string][]byte{"profile": m.MobileConfig()}
		for _, d := range m.domains() {
			documents[d] = m.Autoconfig(d)
		}
		for what, raw := range documents {
			texts := xmlTexts(t, raw)
			want := []string{m.User, m.Host}
			if what == "profile" && !m.HasMail() {
				want = nil
			}
			for _, w := range want {
				if !texts[w] {
					t.Errorf("%s, %s: %q is not in it", name, what, w)
				}
			}
		}
	}
}

func xmlTexts(t *testing.T, raw []byte) map[string]bool {
	t.Helper()
	texts := map[string]bool{}
	for d := xml.NewDecoder(bytes.NewReader(raw)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		if text, ok := token.(xml.CharData); ok {
			texts[string(text)] = true
		}
	}
}

// Apple's own format, read by another program: the values, and no password.
func TestMobileConfigIsReadByPlistutil(t *testing.T) {
	rig.Need(t, "plistutil")
	for name, m := range mailboxes {
		file, back := filepath.Join(t.TempDir(), "p.mobileconfig"), filepath.Join(t.TempDir(), "p.json")
		if err := os.WriteFile(file, m.MobileConfig(), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("plistutil", "-i", file, "-f", "bin", "-o", back).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		out, err := exec.Command("plistutil", "-i", back, "-f", "xml").Output()
		if err != nil {
			t.Fatal(err)
		}
		texts := xmlTexts(t, out)
		if m.HasMail() && (!texts[m.User] || !texts["EmailTypeIMAP"]) || regexp.MustCompile(`<key>(Incoming|Outgoing)Password</key>`).Match(out) {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// A newer profile replaces the older one of the same login only, also when the
// authority was renewed with its key.
func TestProfileIdentifiers(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := func(serial int64, key *ecdsa.PrivateKey) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := ann
	first.Authority = authority(1, key)
	ids := regexp.MustCompile(`popbridge\.[0-9a-f-]+`)
	of := func(change func(*Mailbox)) string {
		m := first
		change(&m)
		return ids.FindString(string(m.MobileConfig()))
	}
	same := of(func(*Mailbox) {})
	if got := of(func(m *Mailbox) { m.Authority, m.Port, m.Identities = authority(2, key), 993, nil }); got != same {
		t.Errorf("%s, then %s", same, got)
	}
	for what, change := range map[string]func(*Mailbox){
		"device": func(m *Mailbox) { m.Device = "phone" }, "user": func(m *Mailbox) { m.User = "bob" },
		"installation": func(m *Mailbox) { m.Authority = authority(1, other) },
		"both":         func(m *Mailbox) { m.User, m.Device = `ann"/"lap`, "top" },
	} {
		if got := of(change); got == same {
			t.Errorf("another %s has the same identifier", what)
		}
	}
}

// The form is that of Thunderbird's own export: TestThunderbirdSetUpByClientSetup in
// test compares that.
func TestAndroidQR(t *testing.T) {
	got, err := ann.AndroidQR()
	want := `[1,[1,1],[0,"127.0.0.1",1143,2,1,"ann","popbridge: ann@gmx.de"],` +
		`[[[0,"mail.gmx.net",465,3,1,"ann@gmx.de"],["ann@gmx.de",""]],[[0,"smtp.web.de",587,2,1,"a.n"],["a.n@web.de",""]]]]`
	if err != nil || got != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	got, err = odd.AndroidQR()
	var back []any
	if err != nil || !ascii(got) || json.Unmarshal([]byte(got), &back) != nil || back[2].([]any)[5] != odd.User {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := bare.AndroidQR(); err == nil {
		t.Error("there is no outgoing server, and a QR code all the same")
	}
}

// The page says of a program that it is tried only where docs/clients.md has it with
// that version, and every step of every program is on it.
func TestPageSaysWhatIsTried(t *testing.T) {
	docs, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(ann.Page("today"))
	seen := 0
	for _, p := range ann.Programs() {
		if p.Tried == "" {
			continue
		}
		seen++
		row := regexp.MustCompile(`(?m)^\| ` + p.Name + `[^|]*\| ` + regexp.QuoteMeta(p.Tried) + ` \|`)
		if !row.Match(docs) {
			t.Errorf("docs/clients.md has no %s %s", p.Name, p.Tried)
		}
	}
	if seen != len(tried) || strings.Count(page, "Tried with version") != seen {
		t.Errorf("%d programs are tried, the page has %d", seen, strings.Count(page, "Tried with version"))
	}
	if got, want := strings.Count(page, "Not tried by"), len(ann.Programs())-seen; got != want {
		t.Errorf("%d programs are not tried on the page, want %d", got, want)
	}
	for _, never := range []string{"<script", "http://", "https://", "src="} {
		if strings.Contains(string(odd.Page("today")), never) {
			t.Errorf("the page has %s", never)
		}
	}
}

// A drawing has a rectangle for each run of black modules, and nothing else.
func TestDrawQR(t *testing.T) {
	text := "https://192.168.1.2:8443/" + strings.Repeat("AB", 20)
	d, err := DrawQR(text)
	code, err2 := QRCode(text)
	if err != nil || err2 != nil || d.Size != code.Size+8 {
		t.Fatalf("%v, %v, size %d", err, err2, d.Size)
	}
	black := map[[2]int]bool{}
	for _, run := range strings.Split(strings.TrimSuffix(d.Path, "z"), "z") {
		var x, y, n, back int
		if _, err := fmt.Sscanf(run, "M%d %dh%dv1h-%d", &x, &y, &n, &back); err != nil || n != back || n < 1 {
			t.Fatalf("%q: %v", run, err)
		}
		for i := range n {
			black[[2]int{x + i - QuietZone, y - QuietZone}] = true
		}
	}
	for y := -QuietZone; y < code.Size+QuietZone; y++ {
		for x := -QuietZone; x < code.Size+QuietZone; x++ {
			if black[[2]int{x, y}] != code.Black(x, y) {
				t.Errorf("module %d,%d", x, y)
			}
		}
	}
	for _, text := range []string{"jörg", strings.Repeat("x", 3000)} {
		if _, err := DrawQR(text); err == nil {
			t.Errorf("%.10s is drawn", text)
		}
	}
}
