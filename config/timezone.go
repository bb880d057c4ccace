package config

import (
	_ "embed"
	"strings"
	"time"
	_ "time/tzdata" // Windows has no database of its own
)

// zoneNames are the time zones that tz's zone.tab names, for suggestions. Others
// that the database has are accepted as well.
//
//go:embed zones.txt
var zoneNames string

// readZone reads the name of a time zone in the IANA database.
func readZone(s string) (string, *mistake) {
	if s == "" {
		return "", &mistake{"the time zone is empty", "delete the line to use the time zone of this machine"}
	}
	if _, err := time.LoadLocation(s); err == nil && s != "Local" {
		return s, nil
	}
	hint := `use a name of the IANA database, such as "Europe/Vienna", or delete the line to use the time zone of this machine`
	if near := nearestZone(s); near != "" {
		hint = `did you mean "` + near + `"?`
	}
	return "", &mistake{quote(s) + " is not the name of a time zone", hint}
}

// nearestZone finds the zone that was probably meant. The city alone is enough.
func nearestZone(s string) string {
	names := strings.Fields(zoneNames)
	s = strings.ReplaceAll(strings.TrimSpace(s), " ", "_")
	cities := make([]string, len(names))
	for i, name := range names {
		cities[i] = name[strings.LastIndexByte(name, '/')+1:]
		if strings.EqualFold(name, s) || strings.EqualFold(cities[i], s) {
			return name
		}
	}
	if near := Nearest(s, names); near != "" {
		return near
	}
	near := Nearest(s, cities)
	for i, city := range cities {
		if near != "" && city == near {
			return names[i]
		}
	}
	return ""
}
