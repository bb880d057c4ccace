package localimap

import "time"

// internalDate is a moment as INTERNALDATE says it. Its zone is one of whole
// minutes, as RFC 9051 section 9, zone, has it: local mean times are not. A year
// that has no four digits in the zone is that of UTC.
func internalDate(unix int64, zone *time.Location) time.Time {
	t := time.Unix(unix, 0).In(zone)
	if _, offset := t.Zone(); offset%60 != 0 {
		t = t.In(time.FixedZone("", offset/60*60))
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return t.UTC()
	}
	return t
}

// dayOf returns the day of a date, whatever its time and zone, as midnight in UTC.
func dayOf(date time.Time) time.Time {
	y, m, d := date.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// before reports whether the date that INTERNALDATE says, disregarding its time
// and zone (RFC 9051 section 6.4.4), is before a day. There need not be a moment
// at which a day begins in a zone: clocks skip midnight, pass it twice, and have
// skipped whole days.
func before(unix int64, day time.Time, zone *time.Location) bool {
	const most = 26 * 60 * 60 // no zone is so far from UTC
	switch late := unix - day.Unix(); {
	case late < -most:
		return true
	case late > most:
		return false
	}
	return dayOf(internalDate(unix, zone)).Before(day)
}
