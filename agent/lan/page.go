package lan

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed" // the template of the page
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/popbridge/popbridge/installer/clientfiles"
)

const (
	// PageFor is how long a page is there, in words PageForWords.
	PageFor      = 10 * time.Minute
	PageForWords = "10 minutes"
	// maxAnswers is how often it, and the files of it, are answered in all.
	maxAnswers = 60
)

// A Page sets one phone up: it has the values for a mail client, the authority, and a
// profile for Apple's systems. There is no password on it. Who does not know its
// token, which is random, learns nothing.
type Page struct {
	Token string // the path is / and this

	host    string // HOST:PORT that it is served at
	mailbox clientfiles.Mailbox
	answers atomic.Int32
}

// NewPage returns a page for host, which is HOST:PORT.
func NewPage(host string, m clientfiles.Mailbox) *Page {
	return &Page{Token: rand.Text(), host: host, mailbox: m}
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var (
	pageTemplate = template.Must(template.New("page").Parse(pageHTML))
	// pagePolicy lets the page load nothing and run nothing; its style is that of
	// page.css.
	pagePolicy = "default-src 'none'; style-src 'sha256-" + hashOf(pageCSS) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

func hashOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// The files of a page, below its path.
const (
	profileName   = "popbridge.mobileconfig"
	authorityName = "popbridge-ca.crt"
)

// ServeHTTP answers GET and HEAD of the page and its files.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
	token, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	known := subtle.ConstantTimeCompare([]byte(token), []byte(p.Token)) == 1
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !known || r.Host != p.host || r.URL.RawQuery != "": // a name that leads here is another site's
		w.WriteHeader(http.StatusNotFound)
	case p.answers.Add(1) > maxAnswers:
		w.WriteHeader(http.StatusGone)
	case file == "":
		h.Set("Content-Type", "text/html; charset=utf-8")
		_ = pageTemplate.Execute(w, struct { // a phone that went away needs no answer
			clientfiles.Mailbox
			Style                                     template.CSS
			Base, Profile, AuthorityFile, Fingerprint string
		}{p.mailbox, template.CSS(pageCSS), "/" + p.Token + "/", profileName, authorityName, Fingerprint(p.mailbox.Authority)})
	case file == profileName:
		h.Set("Content-Type", "application/x-apple-aspen-config")
		_, _ = w.Write(p.mailbox.MobileConfig())
	case file == authorityName:
		h.Set("Content-Type", "application/x-x509-ca-cert")
		_, _ = w.Write(p.mailbox.Authority)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// Fingerprint is the SHA-256 of a certificate, as phones show it.
func Fingerprint(der []byte) string { return fmt.Sprintf("% X", sha256.Sum256(der)) }
