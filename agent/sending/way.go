package sending

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/submission"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
)

// WayOf returns the SMTP server by which the mail of an account leaves: what the config
// names, else that of its provider. It reports false where none is known.
func WayOf(a config.Account) (config.Send, bool) {
	way := a.Send
	if way.Host == "" {
		s, ok := discover.SenderFor(a.Username, a.Host)
		if !ok {
			return way, false
		}
		way.Host, way.Port, way.TLS = s.Host, s.Port, config.Security(s.TLS)
		way.Username = cmp.Or(way.Username, s.Username)
	}
	way.Username = cmp.Or(way.Username, a.Username)
	return way, true
}

// limitsOf is what a server takes of an account. One on this machine has a queue of its
// own, or says when it is too much.
func limitsOf(way config.Send) plan.Limits {
	limits := plan.Limits(discover.LimitsOf(way.Host, way.Username))
	if ip, err := netip.ParseAddr(way.Host); way.Host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		limits.PerMinute = math.MaxInt
	}
	return limits
}

// Any reports whether any account can send. Where none can, mail programs have nothing to
// connect to.
func (s *Set) Any() bool {
	return slices.ContainsFunc(s.users.Config().Accounts, func(a config.Account) bool {
		_, ok := WayOf(a)
		return ok && len(a.Addresses) > 0
	})
}

// route returns the way out of mail from an address of the user. The address itself goes
// before one of which it is a tag, and the own address of an account before the others.
func (s *Set) route(user, from string) (submission.Route, error) {
	var allowed []string
	var best, first config.Account
	address, rank := "", 0
	for _, a := range s.users.Config().Accounts {
		if a.User != user {
			continue
		}
		if first.Name == "" {
			first = a
		}
		allowed = append(allowed, a.Addresses...)
		for i, own := range a.Addresses {
			r := 2 * match(from, own)
			if r > 0 && i > 0 {
				r--
			}
			if r > rank {
				best, address, rank = a, own, r
			}
		}
	}
	switch _, ok := WayOf(best); {
	case len(allowed) == 0:
		return submission.Route{}, fault.New(fault.Denied, "user "+user+" has no mail address to send from", "give an account one: "+s.users.Command("account set NAME address=ADDRESS"))
	case rank == 0:
		return submission.Route{}, fault.New(fault.Denied, fmt.Sprintf("mail from %s is not sent here, only from %s", fault.Quote(from), strings.Join(allowed, ", ")),
			"write one of these as the sender, or add it to an account: "+s.users.Command("account set "+fault.ShellQuote(first.Name)+" "+fault.ShellQuote(withAddress(first, from))))
	case !ok:
		return submission.Route{}, s.noWay(best.Name)
	}
	limits := s.limits(best.Name)
	return submission.Route{Account: best.Name, From: address, MaxSize: limits.Size, UTF8: limits.UTF8, Delay: s.users.Config().SMTP.SendDelay}, nil
}

// withAddress is a setting by which an account has an address more.
func withAddress(a config.Account, address string) string {
	if !config.IsAddress(address) {
		address = "ADDRESS"
	}
	var list []string
	for _, one := range append(slices.Clone(a.Addresses), address) {
		list = append(list, strconv.Quote(one))
	}
	return "addresses=[" + strings.Join(list, ", ") + "]"
}

// toSelf reports whether any of these is an address of the user.
func (s *Set) toSelf(user string, recipients []string) bool {
	for _, a := range s.users.Config().Accounts {
		for _, address := range a.Addresses {
			if a.User == user && slices.ContainsFunc(recipients, func(r string) bool { return match(r, address) > 0 }) {
				return true
			}
		}
	}
	return false
}

// match reports whether mail from an address leaves as that of own: 2 where they are the
// same, in any case, 1 where there is a tag behind the local part (ann+shop@example.com,
// RFC 5233), else 0. own is as config.ASCIIDomain returns it.
func match(from, own string) int {
	from = config.ASCIIDomain(from)
	if strings.EqualFold(from, own) {
		return 2
	}
	at, ownAt := strings.LastIndexByte(from, '@'), strings.LastIndexByte(own, '@')
	if at < 0 || ownAt < 0 || !strings.EqualFold(from[at:], own[ownAt:]) {
		return 0
	}
	if local, _, tagged := strings.Cut(from[:at], "+"); tagged && strings.EqualFold(local, own[:ownAt]) {
		return 1
	}
	return 0
}
