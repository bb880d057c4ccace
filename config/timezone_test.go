package config

import (
	"strings"
	"testing"
	"time"
)

func TestTimeZone(t *testing.T) {
	for _, tt := range []struct{ value, hint string }{
		{"Europe/Vienna", ""},
		{"UTC", ""},
		{"Etc/GMT-2", ""},
		{"Eurpe/Viena", `did you mean "Europe/Vienna"?`},
		{"Vienna", `did you mean "Europe/Vienna"?`},
		{"new york", `did you mean "America/New_York"?`},
		{"Aukland", `did you mean "Pacific/Auckland"?`},
		{"", "delete the line to use the time zone of this machine"},
		{"Local", "IANA"},
		{"+02:00", "IANA"},
		{"../../etc/localtime", "IANA"},
	} {
		name, m := readZone(tt.value)
		switch {
		case tt.hint == "" && (m != nil || name != tt.value):
			t.Errorf("%q: %v", tt.value, m)
		case tt.hint != "" && (m == nil || !strings.Contains(m.hint, tt.hint)):
			t.Errorf("%q: %v", tt.value, m)
		}
	}
}

// TestZonesThatAreSuggestedExist: in the database that is part of the program.
func TestZonesThatAreSuggestedExist(t *testing.T) {
	for name := range strings.FieldsSeq(zoneNames) {
		if _, err := time.LoadLocation(name); err != nil {
			t.Error(err)
		}
	}
}
