package clientfiles

import (
	"fmt"
	"strings"
)

// secretWords say which password an outgoing server takes.
var secretWords = map[string]string{
	SecretLogin: "the same", SecretMailbox: "that of the mailbox at the provider",
	SecretToken: "none: choose OAuth2, and sign in at the provider when the program asks",
}

// Values is what a person enters in a mail client, for a terminal. password is shown
// as it is given: a password, or words about it.
func (m Mailbox) Values(password string) string {
	var b strings.Builder
	b.WriteString("Enter in your mail program:\n")
	writeServer(&b, "incoming mail   IMAP", m.Host, m.Port, SecurityWords(m.TLS), m.User, password)
	if len(m.Identities) == 0 {
		b.WriteString("  outgoing mail   the SMTP server of your provider, with the password of the mailbox there\n")
	}
	for _, id := range m.Identities {
		if !id.SMTP.Known() {
			fmt.Fprintf(&b, "  outgoing mail   for %s: ask your provider for its SMTP server;\n                  the password is %s\n", id.Address, secretWords[id.Secret()])
			continue
		}
		title := "outgoing mail   SMTP"
		if len(m.Identities) > 1 {
			title += ", for " + id.Address
		}
		writeServer(&b, title, id.SMTP.Host, id.SMTP.Port, SecurityWords(id.SMTP.TLS), id.SMTP.Username, secretWords[id.Secret()])
	}
	return b.String()
}

func writeServer(b *strings.Builder, title, host string, port int, security, user, password string) {
	if user == "" {
		user, password = "none", "none"
	}
	fmt.Fprintf(b, "  %s\n    server        %s\n    port          %d\n    security      %s\n    user name     %s\n    password      %s\n",
		title, host, port, security, user, password)
}
