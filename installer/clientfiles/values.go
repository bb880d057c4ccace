package clientfiles

import (
	"fmt"
	"strings"
)

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
			fmt.Fprintf(&b, "  outgoing mail   for %s: ask your provider for its SMTP server;\n                  the password is that of the mailbox there\n", id.Address)
			continue
		}
		title := "outgoing mail   SMTP"
		if len(m.Identities) > 1 {
			title += ", for " + id.Address
		}
		its := "that of the mailbox at the provider"
		if id.Here {
			its = "the same"
		}
		writeServer(&b, title, id.SMTP.Host, id.SMTP.Port, SecurityWords(id.SMTP.TLS), id.SMTP.Username, its)
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
