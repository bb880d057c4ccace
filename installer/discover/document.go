package discover

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/htmlindex"
)

// Limits of an autoconfig document. Real ones have 1 to 10 KiB.
const (
	maxDocument = 64 << 10 // bytes
	maxServers  = 64       // of both kinds
	maxHelp     = 3        // links to help pages that are kept
)

// document is what an autoconfig document says about one address.
type document struct {
	name        string
	pop, smtp   Server // the best of each; smtp may be unknown
	enableURL   string
	helpURLs    []string
	minInterval time.Duration
}

var errNoDocument = errors.New("what came is not an autoconfig document")

// parseDocument reads a clientConfig document (draft-ietf-mailmaint-autoconfig,
// section 3): the first emailProvider, of each kind of server the first with the
// best encryption. Unknown elements are skipped. A server without TLS is not
// taken, for whoever can change the document could ask for the password in the
// clear. Entities are not expanded: encoding/xml knows the five of XML only.
func parseDocument(raw []byte, a Address) (document, error) {
	dec := xml.NewDecoder(bytes.NewReader(raw))
	dec.CharsetReader = charset
	if err := enter(dec, "clientConfig"); err != nil {
		return document{}, errNoDocument
	}
	if err := enter(dec, "emailProvider"); err != nil {
		return document{}, fmt.Errorf("the document names no provider")
	}
	r := reader{address: a}
	for {
		token, err := dec.Token()
		if err != nil {
			return document{}, fmt.Errorf("the document is damaged: %w", shortSyntax(err))
		}
		switch t := token.(type) {
		case xml.EndElement: // of emailProvider: all others were skipped or decoded whole
			return r.finish()
		case xml.StartElement:
			if err := r.element(dec, t); err != nil {
				return document{}, fmt.Errorf("the document is damaged: %w", shortSyntax(err))
			}
		}
	}
}

// enter reads up to the next start element, which has to be name; elements of
// other names are skipped, except for the root.
func enter(dec *xml.Decoder, name string) error {
	for {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		t, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case t.Name.Local == name:
			return nil
		case name == "clientConfig":
			return errNoDocument
		default:
			if err := dec.Skip(); err != nil {
				return err
			}
		}
	}
}

// shortSyntax drops what a syntax error quotes of the document.
func shortSyntax(err error) error {
	if s, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return fmt.Errorf("line %d", s.Line)
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return errors.New(printable(err.Error(), 80))
}

func charset(label string, input io.Reader) (io.Reader, error) {
	e, err := htmlindex.Get(label)
	if err != nil {
		return nil, fmt.Errorf("unknown character set")
	}
	return e.NewDecoder().Reader(input), nil
}

// reader collects what is in an emailProvider.
type reader struct {
	address Address
	document
	servers   int
	plain     bool // a POP3 server without encryption was left out
	otherAuth bool // a POP3 server with an unknown kind of login was left out
}

// xmlServer is an incomingServer or outgoingServer.
type xmlServer struct {
	Type     string   `xml:"type,attr"`
	Hostname string   `xml:"hostname"`
	Port     string   `xml:"port"`
	Socket   string   `xml:"socketType"`
	Auth     []string `xml:"authentication"`
	Username string   `xml:"username"`
	Check    struct {
		Minutes string `xml:"minutes,attr"`
	} `xml:"pop3>checkInterval"`
}

func (r *reader) element(dec *xml.Decoder, start xml.StartElement) error {
	switch start.Name.Local {
	case "displayName":
		var text string
		if err := dec.DecodeElement(&text, &start); err != nil {
			return err
		}
		if r.name == "" {
			r.name = printable(fill(text, r.address), 60)
		}
	case "incomingServer", "outgoingServer":
		var s xmlServer
		if err := dec.DecodeElement(&s, &start); err != nil {
			return err
		}
		if r.servers++; r.servers > maxServers {
			return fmt.Errorf("more than %d servers", maxServers)
		}
		r.take(start.Name.Local, s)
	case "enable":
		if u := link(start, "visiturl", r.address); u != "" && r.enableURL == "" {
			r.enableURL = u
		}
		return dec.Skip()
	case "documentation":
		if u := link(start, "url", r.address); u != "" && len(r.helpURLs) < maxHelp {
			r.helpURLs = append(r.helpURLs, u)
		}
		return dec.Skip()
	default:
		return dec.Skip()
	}
	return nil
}

// take keeps a server that is better than the one before.
func (r *reader) take(element string, x xmlServer) {
	kind := strings.ToLower(strings.TrimSpace(x.Type))
	pop := element == "incomingServer" && kind == "pop3"
	if !pop && (element != "outgoingServer" || kind != "smtp") {
		return
	}
	into := &r.smtp
	if pop {
		into = &r.pop
	}
	s, ok := r.server(x)
	r.plain = r.plain || pop && ok && s.TLS == None
	r.otherAuth = r.otherAuth || pop && ok && s.Auth == nil
	if !ok || s.TLS == None || s.Auth == nil || into.Known() && (into.TLS == Implicit || s.TLS == StartTLS) {
		return
	}
	*into = s
	if !pop {
		return
	}
	if m, err := strconv.Atoi(strings.TrimSpace(x.Check.Minutes)); err == nil && m > 0 && m <= maxMinutes {
		r.minInterval = time.Duration(m) * time.Minute
	}
}

// server returns what can be used of a server; Auth is nil where no kind of
// login in it is known.
func (r *reader) server(x xmlServer) (Server, bool) {
	host, ok := hostName(strings.TrimSpace(fill(x.Hostname, r.address)))
	port, err := strconv.Atoi(strings.TrimSpace(x.Port))
	if !ok || err != nil || port < 1 || port > 65535 {
		return Server{}, false
	}
	s := Server{Host: host, Port: port, Auth: logins(x.Auth), Username: username(x.Username, r.address)}
	switch strings.ToLower(strings.TrimSpace(x.Socket)) {
	case "ssl":
		s.TLS = Implicit
	case "starttls":
		s.TLS = StartTLS
	case "plain", "":
		s.TLS = None
	default:
		return Server{}, false
	}
	return s, true
}

// logins returns what is known of the <authentication> elements, and password
// where there are none. The short values are those of version 1.0.
func logins(values []string) []Auth {
	if len(values) == 0 {
		return []Auth{Password}
	}
	var all []Auth
	for _, v := range values {
		var a Auth
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "password-cleartext", "plain":
			a = Password
		case "password-encrypted", "secure":
			a = Encrypted
		case "oauth2":
			a = OAuth2
		default: // NTLM, GSSAPI, client-IP-address, none
			continue
		}
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// username returns the user name of a document, or the address where it has
// none that could be sent, or asks the user for a part of it.
func username(template string, a Address) string {
	name := strings.TrimSpace(fill(template, a))
	unknown := strings.Count(strings.ReplaceAll(name, a.Local, ""), "%") >= 2
	if name == "" || len(name) > maxUsername || printable(name, maxUsername) != name || unknown {
		return a.String()
	}
	return name
}

// link returns the web address in an attribute, or "". The address of the
// person is not filled in: the link is shown, and opened by a browser.
func link(start xml.StartElement, attr string, a Address) string {
	for _, at := range start.Attr {
		if at.Name.Local != attr {
			continue
		}
		text := strings.ReplaceAll(strings.TrimSpace(at.Value), "%EMAILDOMAIN%", a.Domain)
		u, err := url.Parse(text)
		if err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && len(text) <= 200 && printable(text, 200) == text && !strings.Contains(text, " ") {
			return text
		}
	}
	return ""
}

func (r *reader) finish() (document, error) {
	switch {
	case r.pop.Known():
		return r.document, nil
	case r.plain:
		return document{}, fmt.Errorf("the document names POP3 servers without encryption only: not used")
	case r.otherAuth:
		return document{}, fmt.Errorf("the document names no kind of login that popbridge has")
	}
	return document{}, fmt.Errorf("the document names no POP3 server")
}
