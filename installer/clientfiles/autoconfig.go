package clientfiles

import (
	"fmt"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/installer/discover"
)

// Autoconfig is a document by which Thunderbird's discovery finds this server for one
// of domains (draft-ietf-mailmaint-autoconfig), and nil for others. The outgoing server
// is that of the first identity in the domain; others of the same domain have the same
// one, as a rule with the address as the user name.
func (m Mailbox) Autoconfig(domain string) []byte {
	for _, id := range m.Identities {
		if id.SMTP.Known() && domainOf(id.Address) == domain {
			return m.autoconfig(id, domain)
		}
	}
	return nil
}

// domains are the domains of the identities whose outgoing server is known, each once,
// in their order: Thunderbird takes no document without an outgoing server.
func (m Mailbox) domains() []string {
	var domains []string
	for _, id := range m.Identities {
		if d := domainOf(id.Address); d != "" && id.SMTP.Known() && !slices.Contains(domains, d) {
			domains = append(domains, d)
		}
	}
	return domains
}

// domainOf is the domain of an address in ASCII, which is safe as the name of a file;
// empty where it is no address.
func domainOf(address string) string {
	a, err := discover.ParseAddress(address)
	if err != nil {
		return ""
	}
	return a.Domain
}

func (m Mailbox) autoconfig(id Identity, domain string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="%[1]s">
    <domain>%[1]s</domain>
    <displayName>popbridge on this computer</displayName>
    <displayShortName>popbridge</displayShortName>
`, xmlText(domain))
	writeAutoconfigServer(&b, "incomingServer", "imap", discover.Server{Host: m.Host, Port: m.Port, TLS: m.TLS, Username: m.User})
	smtp := id.SMTP
	if smtp.Username == id.Address {
		smtp.Username = "%EMAILADDRESS%"
	}
	writeAutoconfigServer(&b, "outgoingServer", "smtp", smtp)
	b.WriteString("  </emailProvider>\n</clientConfig>\n")
	return []byte(b.String())
}

func writeAutoconfigServer(b *strings.Builder, element, kind string, s discover.Server) {
	socket := map[discover.Security]string{discover.Implicit: "SSL", discover.StartTLS: "STARTTLS", discover.None: "plain"}[s.TLS]
	fmt.Fprintf(b, "    <%s type=%q>\n      <hostname>%s</hostname>\n      <port>%d</port>\n      <socketType>%s</socketType>\n",
		element, kind, xmlText(s.Host), s.Port, socket)
	auth := "none"
	if s.Username != "" {
		fmt.Fprintf(b, "      <username>%s</username>\n", xmlText(s.Username))
		if auth = "password-cleartext"; s.OAuth2Only() {
			auth = "OAuth2"
		}
	}
	fmt.Fprintf(b, "      <authentication>%s</authentication>\n    </%s>\n", auth, element)
}
