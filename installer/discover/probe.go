package discover

import (
	"context"
	"fmt"
	"sync"
)

// candidate is a server that may exist.
type candidate struct {
	host string
	port int
	tls  Security
}

func (c candidate) String() string { return Server{Host: c.host, Port: c.port, TLS: c.tls}.String() }

// popCandidates are POP3 servers under the usual names (RFC 8314: TLS first).
func popCandidates(hosts ...string) []candidate {
	return candidates(hosts, candidate{port: 995, tls: Implicit}, candidate{port: 110, tls: StartTLS})
}

func smtpCandidates(hosts ...string) []candidate {
	return candidates(hosts, candidate{port: 465, tls: Implicit}, candidate{port: 587, tls: StartTLS})
}

func candidates(hosts []string, kinds ...candidate) []candidate {
	var all []candidate
	for _, kind := range kinds {
		for _, host := range hosts {
			kind.host = host
			all = append(all, kind)
		}
	}
	return all
}

// probePOP reports how to log in to a POP3 server, if there is one with a
// certificate that is valid for its name.
func (n network) probePOP(ctx context.Context, c candidate) (auth []Auth, err error) {
	err = n.open(ctx, c, func(t *talk) (err error) {
		auth, err = t.pop3(n.tlsConfig(c.host), c.tls == StartTLS)
		return err
	})
	if err == nil && auth == nil {
		err = fmt.Errorf("the server has no kind of login that popbridge has")
	}
	return auth, err
}

// probeSMTP is probePOP for submission.
func (n network) probeSMTP(ctx context.Context, c candidate) (auth []Auth, err error) {
	err = n.open(ctx, c, func(t *talk) (err error) {
		auth, err = t.smtp(n.tlsConfig(c.host), c.tls == StartTLS)
		return err
	})
	return auth, err
}

// attempt is something asked in the background.
type attempt[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// begin asks in the background; group waits for it.
func begin[T any](group *sync.WaitGroup, ask func() (T, error)) *attempt[T] {
	a := &attempt[T]{done: make(chan struct{})}
	group.Go(func() {
		defer close(a.done)
		a.value, a.err = ask()
	})
	return a
}

func (a *attempt[T]) wait() (T, error) {
	<-a.done
	return a.value, a.err
}
