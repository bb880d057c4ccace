package discover

import (
	"slices"
	"strings"
)

// Limits are what a provider takes of an account at its SMTP server. 0: no limit is known.
type Limits struct {
	PerMinute        int // messages
	PerDay           int // messages in 24 hours
	RecipientsPerDay int
	Recipients       int // of one message
}

// published are those that providers publish, by server; of the domains of addresses where the
// plans of a provider differ. Other providers are learned from what their servers say.
var published = []struct {
	hosts, domains []string
	Limits
}{
	// https://support.google.com/a/answer/166852: 500 messages a day, 2,000 in Workspace; 100
	// recipients of a message by SMTP.
	{[]string{"smtp.gmail.com", "smtp.googlemail.com"}, []string{"gmail.com", "googlemail.com"}, Limits{PerDay: 500, Recipients: 100}},
	{[]string{"smtp.gmail.com", "smtp.googlemail.com"}, nil, Limits{PerDay: 2000, Recipients: 100}},
	// https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits,
	// "Sending limits": 30 messages a minute, 10,000 recipients a day, 500 of a message; three
	// connections for SMTP, of which there is one here.
	{[]string{"smtp-mail.outlook.com", "smtp.office365.com", "outlook.office365.com"}, nil, Limits{PerMinute: 30, RecipientsPerDay: 10000, Recipients: 500}},
}

// LimitsOf returns what is known of an SMTP server, for a user name there.
func LimitsOf(smtpHost, username string) Limits {
	_, domain, _ := strings.Cut(strings.ToLower(username), "@")
	for _, l := range published {
		if slices.Contains(l.hosts, strings.ToLower(smtpHost)) && (l.domains == nil || slices.Contains(l.domains, domain)) {
			return l.Limits
		}
	}
	return Limits{}
}
