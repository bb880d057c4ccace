package agent

import (
	"os"
	"time"

	"github.com/popbridge/popbridge/config"
)

// location returns the time zone in which mail clients see and search times of
// arrival: that of the config, or the machine's as it is now.
func location(cfg *config.Config) *time.Location {
	if cfg.TimeZone != "" {
		if loc, err := time.LoadLocation(cfg.TimeZone); err == nil {
			return loc
		}
	}
	// time.Local is read once. Whoever travels changes this file, not TZ.
	if _, set := os.LookupEnv("TZ"); !set {
		if data, err := os.ReadFile("/etc/localtime"); err == nil {
			if loc, err := time.LoadLocationFromTZData("Local", data); err == nil {
				return loc
			}
		}
	}
	return time.Local
}
