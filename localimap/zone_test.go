package localimap

import (
	"testing"
	"time"
)

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// TestADayIsThatOfInternalDate: where clocks skip midnight, pass it twice, or
// skip a whole day, too, a search by day finds what INTERNALDATE says.
func TestADayIsThatOfInternalDate(t *testing.T) {
	for _, tt := range []struct {
		zone string
		from time.Time // hour by hour, for five days
		days []int     // that INTERNALDATE says in that time
	}{
		{"America/Sao_Paulo", time.Date(2017, 10, 13, 0, 10, 0, 0, time.UTC), []int{12, 13, 14, 15, 16, 17}}, // no midnight on the 15th
		{"America/Sao_Paulo", time.Date(2018, 2, 15, 0, 10, 0, 0, time.UTC), []int{14, 15, 16, 17, 18, 19}},  // 23 o'clock twice on the 17th
		{"America/St_Johns", time.Date(2010, 11, 5, 0, 10, 0, 0, time.UTC), []int{4, 5, 6, 7, 8, 9}},         // midnight twice on the 7th
		{"Pacific/Apia", time.Date(2011, 12, 28, 0, 10, 0, 0, time.UTC), []int{27, 28, 29, 31, 1, 2}},        // no 30th
		{"Pacific/Kiritimati", time.Date(2026, 1, 3, 0, 10, 0, 0, time.UTC), []int{3, 4, 5, 6, 7, 8}},        // 14 hours ahead
		{"Etc/GMT+12", time.Date(2026, 1, 3, 0, 10, 0, 0, time.UTC), []int{2, 3, 4, 5, 6, 7}},                // 12 behind
	} {
		zone := mustZone(t, tt.zone)
		var days []int
		for hour := range 5 * 24 {
			unix := tt.from.Add(time.Duration(hour) * time.Hour).Unix()
			date := internalDate(unix, zone)
			if len(days) == 0 || days[len(days)-1] != date.Day() {
				days = append(days, date.Day())
			}
			for d := -3; d < 9; d++ {
				day := dayOf(tt.from).AddDate(0, 0, d)
				want := date.Format("20060102") < day.Format("20060102")
				if got := before(unix, day, zone); got != want {
					t.Errorf("%s: %v BEFORE %v: %v", tt.zone, date, day.Format("2-Jan"), got)
				}
			}
		}
		if len(days) != len(tt.days) {
			t.Errorf("%s: days %v", tt.zone, days)
			continue
		}
		for i, d := range tt.days {
			if days[i] != d {
				t.Errorf("%s: days %v", tt.zone, days)
			}
		}
	}
}

// TestInternalDateCanBeWritten: whole minutes, four digits.
func TestInternalDateCanBeWritten(t *testing.T) {
	for _, tt := range []struct {
		unix int64
		zone string
		want string
	}{
		{time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), "Europe/Vienna", "1800-01-01 01:05:00 +0105"}, // local mean time: 1:05:21
		{time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC).Unix(), "Pacific/Auckland", "9999-12-31 23:00:00 +0000"},
		{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), "America/New_York", "0001-01-01 00:00:00 +0000"},
		{1700000000, "Asia/Kathmandu", "2023-11-15 03:58:20 +0545"},
	} {
		if got := internalDate(tt.unix, mustZone(t, tt.zone)).Format("2006-01-02 15:04:05 -0700"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.zone, got, tt.want)
		}
	}
}
