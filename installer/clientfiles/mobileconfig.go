package clientfiles

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/popbridge/popbridge/installer/discover"
)

// MobileConfig is a configuration profile for macOS and iOS: the authority, and one
// mail account with the first identity whose SMTP server is known. The format wants
// an outgoing server (apple/device-management, com.apple.mail.managed), so without one
// the profile has the authority only; HasMail says which. The profile is not signed,
// which the system says when it is installed.
//
// Identifiers are derived from the authority's key, the user and the device: a newer
// profile of the same login replaces the older, that of another login does not.
func (m Mailbox) MobileConfig() []byte {
	id := m.profileID()
	var payloads []dict
	if m.Authority != nil {
		payloads = append(payloads, payload(id, "com.apple.security.root", "the authority of popbridge",
			entry{"PayloadCertificateFileName", "popbridge-ca.cer"}, entry{"PayloadContent", m.Authority}))
	}
	if i := m.appleIdentity(); i >= 0 {
		payloads = append(payloads, m.applePayload(id, m.Identities[i]))
	}
	name := m.name()
	if m.Device != "" {
		name += " (" + m.Device + ")"
	}
	profile := payload(id, "Configuration", name,
		entry{"PayloadDescription", "Reads the mail that popbridge keeps on " + m.Host + "."},
		entry{"PayloadContent", payloads})
	var b bytes.Buffer
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n")
	writePlist(&b, profile, "")
	b.WriteString("</plist>\n")
	return b.Bytes()
}

// HasMail reports whether MobileConfig sets up the mail account, not only the authority.
func (m Mailbox) HasMail() bool { return m.appleIdentity() >= 0 }

func (m Mailbox) appleIdentity() int {
	return slices.IndexFunc(m.Identities, func(i Identity) bool { return i.SMTP.Known() })
}

// appleSecret is what the outgoing server of the mail account takes.
func (m Mailbox) appleSecret() string {
	if i := m.appleIdentity(); i >= 0 {
		return m.Identities[i].Secret()
	}
	return ""
}

// applePayload is the mail account. "SSL" means TLS in either form: the device tries
// STARTTLS where the server does not begin with TLS.
func (m Mailbox) applePayload(id uuid.UUID, i Identity) dict {
	auth := "EmailAuthPassword"
	if i.SMTP.Username == "" {
		auth = "EmailAuthNone"
	}
	entries := []entry{
		{"EmailAccountType", "EmailTypeIMAP"},
		{"EmailAccountDescription", m.name()},
		{"EmailAddress", i.Address},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"},
		{"IncomingMailServerHostName", m.Host},
		{"IncomingMailServerPortNumber", m.Port},
		{"IncomingMailServerUseSSL", m.TLS != discover.None},
		{"IncomingMailServerUsername", m.User},
		{"OutgoingMailServerAuthentication", auth},
		{"OutgoingMailServerHostName", i.SMTP.Host},
		{"OutgoingMailServerPortNumber", i.SMTP.Port},
		{"OutgoingMailServerUseSSL", i.SMTP.TLS != discover.None},
	}
	if i.SMTP.Username != "" {
		entries = append(entries, entry{"OutgoingMailServerUsername", i.SMTP.Username})
	}
	return payload(id, "com.apple.mail.managed", m.name(), append(entries, entry{"OutgoingPasswordSameAsIncomingPassword", i.Here})...)
}

// profileID is the same for the same login of the same installation. The key of the
// authority stays when the authority is renewed.
func (m Mailbox) profileID() uuid.UUID {
	key := [sha256.Size]byte{}
	if cert, err := x509.ParseCertificate(m.Authority); err == nil {
		key = sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "https://github.com/popbridge/popbridge#%x/%q/%q", key, m.User, m.Device))
}

// payload is one dictionary of a profile, with what all of them have.
func payload(id uuid.UUID, kind, name string, entries ...entry) dict {
	return append(dict{
		{"PayloadType", kind},
		{"PayloadVersion", 1},
		{"PayloadIdentifier", "popbridge." + id.String() + "." + kind},
		{"PayloadUUID", strings.ToUpper(uuid.NewSHA1(id, []byte(kind)).String())},
		{"PayloadDisplayName", name},
		{"PayloadOrganization", "popbridge"},
	}, entries...)
}

// dict is a dictionary of a property list, in the order in which it is written. Its
// values are of type string, int, bool, []byte or []dict.
type dict []entry

type entry struct {
	key   string
	value any
}

func writePlist(b *bytes.Buffer, d dict, indent string) {
	fmt.Fprintf(b, "%s<dict>\n", indent)
	for _, e := range d {
		fmt.Fprintf(b, "%s\t<key>%s</key>\n", indent, e.key)
		switch v := e.value.(type) {
		case string:
			fmt.Fprintf(b, "%s\t<string>%s</string>\n", indent, xmlText(v))
		case int:
			fmt.Fprintf(b, "%s\t<integer>%d</integer>\n", indent, v)
		case bool:
			fmt.Fprintf(b, "%s\t<%t/>\n", indent, v)
		case []byte:
			fmt.Fprintf(b, "%s\t<data>%s</data>\n", indent, base64.StdEncoding.EncodeToString(v))
		case []dict:
			fmt.Fprintf(b, "%s\t<array>\n", indent)
			for _, inner := range v {
				writePlist(b, inner, indent+"\t\t")
			}
			fmt.Fprintf(b, "%s\t</array>\n", indent)
		}
	}
	fmt.Fprintf(b, "%s</dict>\n", indent)
}

// xmlText escapes text for XML. What XML cannot hold becomes U+FFFD.
func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
