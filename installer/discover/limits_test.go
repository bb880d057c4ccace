package discover

import "testing"

func TestLimitsOf(t *testing.T) {
	for _, tt := range []struct {
		host, username string
		want           Limits
	}{
		{"smtp.gmail.com", "ann@gmail.com", Limits{PerDay: 500, Recipients: 100}},
		{"SMTP.gmail.com", "Ann@GoogleMail.com", Limits{PerDay: 500, Recipients: 100}},
		{"smtp.gmail.com", "ann@example.com", Limits{PerDay: 2000, Recipients: 100}},
		{"smtp.office365.com", "ann@example.com", Limits{PerMinute: 30, RecipientsPerDay: 10000, Recipients: 500}},
		{"smtp.example.com", "ann@gmail.com", Limits{}},
	} {
		if got := LimitsOf(tt.host, tt.username); got != tt.want {
			t.Errorf("%s, %s: %+v", tt.host, tt.username, got)
		}
	}
	// The table of providers leads to each of these servers, by name.
	for username, pop := range map[string]string{"ann@gmail.com": "pop.gmail.com", "ann@outlook.com": "outlook.office365.com"} {
		s, ok := SenderFor(username, pop)
		if !ok || LimitsOf(s.Host, username) == (Limits{}) {
			t.Errorf("%s sends by %s, of which no limit is known", username, s.Host)
		}
	}
}
