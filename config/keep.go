package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// KeepOnServer is how long a message stays on the POP server after it is
// stored here. The zero value keeps it for ever.
type KeepOnServer struct {
	Rule    KeepRule
	For     time.Duration // with KeepFor: whole days, at least one
	Newest  int           // with KeepNewest: messages, at least one
	Percent int           // with KeepBelow: 1 to 99, of Account.Quota
}

// KeepRule is a way to say how long.
type KeepRule uint8

// The rules of KeepOnServer.
const (
	KeepForever KeepRule = iota
	KeepNever
	KeepFor    // a number of days
	KeepNewest // so many messages, the oldest go
	KeepBelow  // so much of the mailbox, the oldest go
)

const day = 24 * time.Hour

// String returns the value as the file has it.
func (k KeepOnServer) String() string {
	switch k.Rule {
	case KeepNever:
		return "never"
	case KeepFor:
		return fmt.Sprintf("%dd", k.For/day)
	case KeepNewest:
		return fmt.Sprintf("newest %d", k.Newest)
	case KeepBelow:
		return fmt.Sprintf("below %d%%", k.Percent)
	}
	return "forever"
}

const keepValues = `"forever", "never", a number of days such as "30d", "newest 500" or "below 80%"`

const (
	// maxKeepDays is a hundred years: more is a mistake, and would overflow.
	maxKeepDays = 36500
	// maxNewest is more than any POP3 server lists.
	maxNewest = 100_000_000
)

func readKeep(s string) (KeepOnServer, *mistake) {
	words := strings.Fields(s)
	switch {
	case s == "forever":
		return KeepOnServer{}, nil
	case s == "never":
		return KeepOnServer{Rule: KeepNever}, nil
	case len(words) == 2 && words[0] == "newest":
		return readKeepNewest(s, words[1])
	case len(words) == 2 && words[0] == "below":
		return readKeepBelow(s, words[1])
	}
	number, isDays := strings.CutSuffix(s, "d")
	n, err := strconv.ParseUint(number, 10, 32)
	switch {
	case !isDays || err != nil:
		return KeepOnServer{}, &mistake{quote(s) + " is not known here", "must be " + keepValues}
	case n == 0:
		return KeepOnServer{}, meansNever(s)
	case n > maxKeepDays:
		return KeepOnServer{}, &mistake{quote(s) + " is longer than a hundred years", `write "forever"`}
	}
	return KeepOnServer{Rule: KeepFor, For: time.Duration(n) * day}, nil
}

func readKeepNewest(s, number string) (KeepOnServer, *mistake) {
	n, err := strconv.ParseUint(number, 10, 32)
	switch {
	case err != nil:
		return KeepOnServer{}, &mistake{quote(s) + " does not say how many messages", `write a whole number: "newest 500"`}
	case n == 0:
		return KeepOnServer{}, meansNever(s)
	case n > maxNewest:
		return KeepOnServer{}, &mistake{quote(s) + " is more than a server holds", `write "forever"`}
	}
	return KeepOnServer{Rule: KeepNewest, Newest: int(n)}, nil
}

func readKeepBelow(s, share string) (KeepOnServer, *mistake) {
	number, isPercent := strings.CutSuffix(share, "%")
	n, err := strconv.ParseUint(number, 10, 32)
	switch {
	case !isPercent || err != nil:
		return KeepOnServer{}, &mistake{quote(s) + " does not say how much of the quota", `write whole percents: "below 80%"`}
	case n == 0:
		return KeepOnServer{}, meansNever(s)
	case n > 99:
		return KeepOnServer{}, &mistake{quote(s) + " leaves no room for new mail", `write 99% or less: "below 80%" is usual`}
	}
	return KeepOnServer{Rule: KeepBelow, Percent: int(n)}, nil
}

func meansNever(s string) *mistake {
	return &mistake{quote(s) + " means never", `write "never": messages are deleted from the server once they are stored here`}
}

// The limits of what the file says about deleting.
const (
	defaultGrace  = 7 * day
	minGrace      = time.Second
	maxGrace      = 3650 * day
	defaultExpire = 30 * day
	minExpire     = day // mail clients may still show what was expunged
	maxExpire     = maxKeepDays * day
	minQuota      = 1000 * 1000
	maxQuota      = 1000 * 1000 * 1000 * 1000 * 1000
)

// retention reads the keys that say when a message is deleted on the server.
func (r *reader) retention(t *table, a *Account) {
	a.Keep = text(t, "keep_on_server", KeepOnServer{}, keepValues, readKeep)
	a.Quota = text(t, "quota", 0, `a size in quotes, such as "1GB"`, func(s string) (int64, *mistake) {
		return readSize(s, minQuota, maxQuota, `it can be from "1MB" to "1000TB"`)
	})
	a.ConfirmDeletes = boolean(t, "confirm_deletes", true)
	a.Shadow = boolean(t, "shadow", false)
	a.DeleteExpunged = text(t, "delete_on_server", false, deleteValues, func(s string) (bool, *mistake) {
		if s != "when expunged" {
			return false, &mistake{quote(s) + " is not known here", "must be " + deleteValues}
		}
		return true, nil
	})
	a.DeleteGrace = text(t, "delete_grace", defaultGrace, `a duration in quotes, such as "7d"`, func(s string) (time.Duration, *mistake) {
		return readDuration(s, minGrace, maxGrace, "7d")
	})
	if a.Keep.Rule == KeepBelow && t.lacks("quota") {
		t.report("keep_on_server", &mistake{quote(a.Keep.String()) + " needs to know how much the mailbox on the server can hold", `add a line with it: quota = "1GB"`})
	}
	if a.Keep.Rule != KeepBelow && t.has("quota") && t.has("keep_on_server") {
		r.warn(t, "quota", &mistake{"the quota is used for nothing", `it belongs to keep_on_server = "below 80%"`})
	}
	if !a.DeleteExpunged && t.has("delete_grace") {
		r.warn(t, "delete_grace", &mistake{"the grace period is used for nothing", `it belongs to delete_on_server = "when expunged"`})
	}
	if a.Shadow && (a.Keep.Rule != KeepForever || a.DeleteExpunged) {
		r.warn(t, "shadow", &mistake{"nothing is ever deleted on the server of account " + a.Name + ", whatever else is set", "delete the line shadow = true once the server's copies may go"})
	}
}

const deleteValues = `"when expunged"; without the line only keep_on_server deletes`
