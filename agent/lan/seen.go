package lan

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

const (
	// NewsFor is how long it is news that a device came from an address.
	NewsFor = 7 * 24 * time.Hour
	// seenEvery is how exact the time of a sighting is.
	seenEvery = 24 * time.Hour
	// maxSightings bounds the addresses of one device, of which the oldest are
	// forgotten, and maxSeen those of all.
	maxSightings = 16
	maxSeen      = 1000
	// maxNews bounds the news of one device at a time: each is a message in INBOX, and
	// who has the password of a device may choose among many addresses.
	maxNews = 8
)

// A Sighting is an address from which a device has logged in.
type Sighting struct {
	Mail    string    `json:"mail"` // identity of the user's mail store, which keeps its name no longer than the user
	User    string    `json:"user"`
	Device  string    `json:"device"`
	Address string    `json:"address"` // of IPv6 the network
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	First   bool      `json:"first"` // the first one of the device
	News    bool      `json:"news"`  // no one had expected it
}

// Seen are the addresses from which devices have logged in, kept in a file. Without it,
// or where it is damaged, all are new.
type Seen struct {
	path string

	mu   sync.Mutex
	list []Sighting // in the order of LastAt
}

// OpenSeen reads a file, if there is one. The error is for the log.
func OpenSeen(path string) (*Seen, error) {
	s := &Seen{path: path}
	data, err := atomicfile.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		if err = json.Unmarshal(data, &s.list); err != nil {
			s.list = nil
		}
	}
	return s, err
}

// Note notes a login. It returns the sighting, and whether the address is new for the
// device; expected tells that the first one is no news. No more than maxNews are.
func (s *Seen) Note(mail, user, device string, a netip.Addr, now time.Time, expected bool) (Sighting, bool, error) {
	address := a.String()
	if a.Is6() {
		address = key(a).String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := func(o Sighting) bool { return o.Mail == mail && o.Device == device }
	i := slices.IndexFunc(s.list, func(o Sighting) bool { return mine(o) && o.Address == address })
	if i >= 0 && now.Sub(s.list[i].LastAt) < seenEvery && s.list[i].User == user {
		return s.list[i], false, nil
	}
	one := Sighting{Mail: mail, User: user, Device: device, Address: address, FirstAt: now.UTC().Truncate(time.Second)}
	if i >= 0 {
		one = s.list[i]
		one.User = user
		s.list = slices.Delete(s.list, i, i+1)
	} else {
		one.First = !slices.ContainsFunc(s.list, mine)
		one.News = !(one.First && expected) && count(s.list, func(o Sighting) bool { return mine(o) && o.isNews(now) }) < maxNews
	}
	one.LastAt = now.UTC().Truncate(time.Second)
	s.list = append(s.list, one)
	for count(s.list, mine) > maxSightings {
		oldest := slices.IndexFunc(s.list, func(o Sighting) bool { return mine(o) && !o.isNews(now) }) // forgotten, news could be told again
		if oldest < 0 {
			oldest = slices.IndexFunc(s.list, mine)
		}
		s.list = slices.Delete(s.list, oldest, oldest+1)
	}
	s.list = slices.Delete(s.list, 0, max(0, len(s.list)-maxSeen))
	return one, i < 0, s.saveLocked()
}

func (o Sighting) isNews(now time.Time) bool { return o.News && now.Sub(o.FirstAt) < NewsFor }

func count(list []Sighting, which func(Sighting) bool) (n int) {
	for _, o := range list {
		if which(o) {
			n++
		}
	}
	return n
}

// News returns the sightings that people are told of.
func (s *Seen) News(now time.Time) (list []Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.list {
		if o.isNews(now) {
			list = append(list, o)
		}
	}
	return list
}

// Forget forgets a device that was revoked, or may not come any more.
func (s *Seen) Forget(user, device string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.list)
	s.list = slices.DeleteFunc(s.list, func(o Sighting) bool { return o.User == user && o.Device == device })
	if len(s.list) == before {
		return nil
	}
	return s.saveLocked()
}

func (s *Seen) saveLocked() error {
	data, err := json.MarshalIndent(s.list, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(s.path, 0o600, data)
}
