package sending

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

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

// perMinute is how many messages a server takes in a minute, 0 where it is not known. One on
// this machine has a queue of its own, or says when it is too much.
func perMinute(host string) int {
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return math.MaxInt
	}
	return 0
}

// Any reports whether any account can send. Where none can, mail programs have nothing to
// connect to.
func (s *Set) Any() bool {
	return slices.ContainsFunc(s.users.Config().Accounts, func(a config.Account) bool {
		_, ok := WayOf(a)
		return ok && len(a.Addresses) > 0
	})
}

// route returns the way out of mail from an address of the user.
func (s *Set) route(user, from string) (submission.Route, error) {
	var allowed []string
	for _, a := range s.users.Config().Accounts {
		if a.User != user {
			continue
		}
		for _, address := range a.Addresses {
			allowed = append(allowed, address)
			if !isAddressOf(from, address) {
				continue
			}
			if _, ok := WayOf(a); !ok {
				return submission.Route{}, s.noWay(a.Name)
			}
			return submission.Route{Account: a.Name, From: address, MaxSize: s.limits(a.Name).Size, UTF8: s.limits(a.Name).UTF8, Delay: s.users.Config().SMTP.SendDelay}, nil
		}
	}
	if len(allowed) == 0 {
		return submission.Route{}, fault.New(fault.Denied, "user "+user+" has no mail address to send from", "give an account one: "+s.users.Command("account set NAME address=ADDRESS"))
	}
	return submission.Route{}, fault.New(fault.Denied, fmt.Sprintf("mail from %s is not sent here, only from %s", fault.Quote(from), strings.Join(allowed, ", ")),
		"write one of these as the sender, or add the address: "+s.users.Command("account set NAME addresses=[...]"))
}

// toSelf reports whether any of these is an address of the user.
func (s *Set) toSelf(user string, recipients []string) bool {
	for _, a := range s.users.Config().Accounts {
		for _, address := range a.Addresses {
			if a.User == user && slices.ContainsFunc(recipients, func(r string) bool { return isAddressOf(r, address) }) {
				return true
			}
		}
	}
	return false
}

// isAddressOf reports whether mail from an address leaves as that of own: in any case, and
// with a tag behind the local part (ann+shop@example.com, RFC 5233).
func isAddressOf(from, own string) bool {
	if strings.EqualFold(from, own) {
		return true
	}
	at, ownAt := strings.LastIndexByte(from, '@'), strings.LastIndexByte(own, '@')
	if at < 0 || ownAt < 0 || !strings.EqualFold(from[at:], own[ownAt:]) {
		return false
	}
	local, _, tagged := strings.Cut(from[:at], "+")
	return tagged && strings.EqualFold(local, own[:ownAt])
}
