// Package discover finds the POP3 and SMTP servers of a mail address, and what
// its provider asks of those who fetch mail.
//
// It asks, in this order, and takes the first answer:
//
//  1. the provider table, which is part of the program (README.md), by domain;
//  2. autoconfig documents (draft-ietf-mailmaint-autoconfig) by https: of the
//     domain itself, then of Thunderbird's public database;
//  3. by the domain's best mail exchanger: the provider table, then autoconfig
//     documents of the mail exchanger's domain and of the public database;
//  4. DNS SRV (RFC 6186, RFC 8314);
//  5. servers under the usual names, by TLS only, with a certificate that is
//     valid for the name.
//
// What always holds: a server without encryption comes from the table only, never
// from the network. No password is asked for or sent. The whole address goes to
// the domain of the address only (the autoconfig document), over https; the
// public database and mail exchangers see the domain. Everything from the network
// is limited in size and time, checked, and safe to show. Nothing outlives
// Discover: it waits for all it began.
//
// Private addresses: a home network can have a mail server of its own, so names
// may lead there where TLS proves the name, as it does at each step. A redirect
// into a private network is not followed, so that no web server outside can
// choose what is asked of one inside.
package discover

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"sync"

	"github.com/popbridge/popbridge/internal/fault"
)

// Options is what Discover works with. The zero Options uses the network of the
// machine and says nothing.
type Options struct {
	// Progress is called when something is asked, without an Answer, and again
	// with it; by the goroutine that called Discover, in the order of preference.
	Progress func(Step)

	Resolver *net.Resolver                                                        // nil is that of the system
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // to an IP address and port; nil is net.Dialer's
	RootCAs  *x509.CertPool                                                       // nil is those of the system

	limits limits // zero: the usual ones
}

// Step is something that was asked, in words for a person.
type Step struct {
	Kind   string // StepTable and so on
	Asked  string // "DNS SRV records of example.com"
	Answer string // "there is none"; empty while there is no answer yet
}

// What a Step asks.
const (
	StepTable      = "table"      // the provider table
	StepAutoconfig = "autoconfig" // settings that somebody publishes
	StepMX         = "mx"         // the mail exchanger
	StepSRV        = "srv"        // DNS SRV records
	StepProbe      = "probe"      // servers under usual names
)

// Kind says where servers were found.
type Kind uint8

// The kinds of source, most trusted first.
const (
	Table      Kind = iota + 1 // the provider table
	Autoconfig                 // an autoconfig document
	SRV                        // DNS SRV records
	Probe                      // a server that answered
)

// Source is where the servers were found.
type Source struct {
	Kind   Kind
	Detail string // for people: a web address, the name of a record, the origin of the row
	MX     string // the mail exchanger by which it was found; empty where it was the domain itself
}

// Found is what Discover has found.
type Found struct {
	Address  Address
	Provider string // name; empty if unknown
	POP      Server
	SMTP     Server // zero if unknown
	// OtherUsername is to be tried where POP.Username is refused (RFC 6186
	// section 4); empty where the source says what the user name is.
	OtherUsername string
	Source        Source // of POP
	// Foreign says that a server is outside the registrable domain of the
	// address. Show it before a password goes there; Confirm says when a person
	// has to agree.
	Foreign bool
	Advice  Advice
}

// Doubt is something that a person has to agree to before a password is sent.
type Doubt struct {
	Host    string // the server that it is about
	Foreign string // the domain of the address, which the server is outside of; "": its connection is not encrypted
}

// Doubts returns what a person has to agree to before a password is sent: a server
// without encryption, and one outside the domain of the address unless the built-in table
// names it for this very domain, or it has no Source: then a person has named it.
func (f Found) Doubts() (doubts []Doubt) {
	for _, s := range []Server{f.POP, f.SMTP} {
		if s.Known() && s.TLS == None {
			doubts = append(doubts, Doubt{Host: s.Host})
		}
	}
	if f.Source.Kind == Table && f.Source.MX == "" || f.Source == (Source{}) {
		return doubts
	}
	seen := ""
	for _, s := range []Server{f.POP, f.SMTP} {
		if s.Known() && s.Host != seen && !sameOwner(s.Host, f.Address.Domain) {
			doubts = append(doubts, Doubt{Host: s.Host, Foreign: f.Address.Domain})
			seen = s.Host
		}
	}
	return doubts
}

// Confirm returns Doubts as sentences.
func (f Found) Confirm() (ask []string) {
	for _, d := range f.Doubts() {
		if d.Foreign == "" {
			ask = append(ask, fmt.Sprintf("the connection to %s is not encrypted: others on the way can read the mail, and the password where it is sent", d.Host))
		} else {
			ask = append(ask, fmt.Sprintf("%s is not in the domain %s: go on only if it is that of your provider", d.Host, d.Foreign))
		}
	}
	return ask
}

// Discover finds the servers of a mail address. It takes a second or two, and 50
// at most where servers do not answer; when ctx ends, it ends at once with the
// error of ctx.
//
// Errors are faults with a hint: Config where the address is none, NotFound where
// the provider has no POP3 or nothing was found, Temporary where the DNS does not
// answer. Found then still has Address, Provider and Advice, as far as they are
// known.
func Discover(ctx context.Context, address string, o Options) (Found, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return Found{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &search{ctx: ctx, network: newNetwork(o), progress: o.Progress, found: Found{Address: a}}
	defer s.group.Wait()
	defer cancel()
	err = s.run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	f := s.found
	f.Foreign = f.POP.Known() && !sameOwner(f.POP.Host, a.Domain) || f.SMTP.Known() && !sameOwner(f.SMTP.Host, a.Domain)
	return f, err
}

// search is one call of Discover.
type search struct {
	network
	ctx      context.Context
	progress func(Step)
	group    sync.WaitGroup // everything in the background
	found    Found
	otherCertificate
	mxErr error // of the look-up of mail exchangers
}

// otherCertificate is of a server that answered under a usual name, with a
// certificate for others: often the name of the provider.
type otherCertificate struct{ host, names string }

func (s *search) domain() string { return s.found.Address.Domain }

func (s *search) run() error {
	if done, err := s.askTable(); done {
		return err
	}
	if !s.askAutoconfig() && !s.askSRV() && !s.probe() {
		return s.nothing()
	}
	s.completeSMTP()
	return nil
}

// say reports a step.
func (s *search) say(kind, asked, answer string) {
	if s.progress != nil && s.ctx.Err() == nil {
		s.progress(Step{Kind: kind, Asked: asked, Answer: answer})
	}
}

// askTable looks the domain up in the provider table. A row without a server
// leaves its advice.
func (s *search) askTable() (done bool, err error) {
	asked := "the built-in table of providers"
	p := builtin().byDomain(s.domain())
	if p == nil {
		s.say(StepTable, asked, "does not have "+s.domain())
		return false, nil
	}
	s.found.Provider, s.found.Advice = p.name, p.advice
	switch {
	case p.noPOP():
		s.say(StepTable, asked, p.name+" has no POP3")
		return true, fault.New(fault.NotFound, p.name+" has no POP3, so its mail cannot be fetched",
			p.advice.Note+" If you know of a POP3 server all the same, name it")
	case !p.pop.Known():
		s.say(StepTable, asked, "knows "+p.name+", but no server of it")
		return false, nil
	}
	s.takeRow(asked, p, "")
	return true, nil
}

// takeRow takes the servers of a provider, with better encryption than the table
// says where they have it.
func (s *search) takeRow(asked string, p *provider, mx string) {
	f := &s.found
	f.Provider, f.Advice = p.name, p.advice
	f.POP, f.SMTP = p.servers(f.Address)
	f.Source = Source{Kind: Table, Detail: p.advice.Source + ", " + p.advice.Date, MX: mx}
	s.say(StepTable, asked, p.name+": "+f.POP.String())
	if f.POP.TLS == None {
		if better, ok := s.probeFirst("POP3 with TLS at "+f.POP.Host, popCandidates(f.POP.Host), s.probePOP); ok {
			f.POP.Port, f.POP.TLS = better.Port, better.TLS
		}
	}
	if f.SMTP.TLS == None && f.SMTP.Known() {
		if better, ok := s.probeFirst("SMTP with TLS at "+f.SMTP.Host, smtpCandidates(f.SMTP.Host), s.probeSMTP); ok {
			f.SMTP.Port, f.SMTP.TLS = better.Port, better.TLS
		}
	}
	s.completeSMTP()
}

// nothing is the error when there is no server.
func (s *search) nothing() error {
	domain := s.domain()
	if dnsFails(s.mxErr) {
		return fault.New(fault.Temporary, "the servers of "+domain+" cannot be looked up: the DNS gives no answer",
			"check the connection to the network and try again, or name the server")
	}
	hint := "check the spelling of the address; else ask your provider for its POP3 server"
	if c := s.otherCertificate; c.host != "" {
		hint = fmt.Sprintf("%s shows a certificate for %s: if that is your provider, name that server", c.host, c.names)
	}
	return fault.New(fault.NotFound, "no POP3 server was found for "+domain, hint)
}
