package discover

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// database is where Thunderbird keeps its public database; the domain is appended.
const database = "https://live.thunderbird.net/autoconfig/v1.1/"

const autoconfigPath = "/mail/config-v1.1.xml"

// fetching is a document on its way.
type fetching struct {
	address string // without the mail address
	*attempt[document]
}

// beginFetch asks for a document in the background; query is not shown.
func (s *search) beginFetch(address, query string) fetching {
	return fetching{address, begin(&s.group, func() (document, error) {
		raw, err := s.fetch(s.ctx, address+query)
		if err != nil {
			return document{}, err
		}
		return parseDocument(raw, s.found.Address)
	})}
}

// askAutoconfig looks for documents: those of the domain, then those of its mail
// exchanger. All of one kind are asked for at once; the order of preference decides.
func (s *search) askAutoconfig() bool {
	domain := s.domain()
	own := []fetching{
		s.beginFetch("https://autoconfig."+domain+autoconfigPath, "?emailaddress="+url.QueryEscape(s.found.Address.String())),
		s.beginFetch("https://"+domain+"/.well-known/autoconfig"+autoconfigPath, ""),
		s.beginFetch(database+domain, ""),
	}
	exchanger := begin(&s.group, func() (string, error) { return s.lookupMX(s.ctx, domain) })
	if s.firstDocument(own, "") {
		return true
	}
	asked := "who takes the mail of " + domain + " (MX)"
	s.say(StepMX, asked, "")
	mx, err := exchanger.wait()
	if s.mxErr = err; err != nil {
		s.say(StepMX, asked, explain(err))
		return false
	}
	s.say(StepMX, asked, mx)
	asked = "the built-in table of providers, for " + mx
	if p := builtin().byMX(mx); p != nil && p.pop.Known() {
		s.takeRow(asked, p, mx)
		return true
	}
	s.say(StepTable, asked, "does not have it")
	var others []fetching
	for _, name := range mxDomains(mx, domain) {
		others = append(others, s.beginFetch("https://autoconfig."+name+autoconfigPath, ""))
	}
	for _, name := range mxDomains(mx, domain) {
		others = append(others, s.beginFetch(database+name, ""))
	}
	return s.firstDocument(others, mx)
}

// mxDomains are the names under which a mail exchanger is looked up: without its
// first label, and its registrable domain; not the domain of the address again.
func mxDomains(mx, domain string) []string {
	base, err := publicsuffix.EffectiveTLDPlusOne(mx)
	if err != nil {
		return nil
	}
	var names []string
	if _, full, _ := strings.Cut(mx, "."); len(full) > len(base) && full != domain {
		names = append(names, full)
	}
	if base != domain {
		names = append(names, base)
	}
	return names
}

// firstDocument takes the first of the documents that names a server.
func (s *search) firstDocument(all []fetching, mx string) bool {
	for _, f := range all {
		asked := "settings at " + f.address
		s.say(StepAutoconfig, asked, "")
		d, err := f.wait()
		if err != nil {
			s.say(StepAutoconfig, asked, explain(err))
			continue
		}
		s.say(StepAutoconfig, asked, d.pop.String())
		s.takeDocument(d, Source{Kind: Autoconfig, Detail: f.address, MX: mx})
		return true
	}
	return false
}

// takeDocument takes servers and advice; what the table knows of the provider stays.
func (s *search) takeDocument(d document, from Source) {
	f := &s.found
	f.POP, f.SMTP, f.Source = d.pop, d.smtp, from
	if f.Provider == "" {
		f.Provider = d.name
	}
	a := &f.Advice
	if a.Source == "" {
		a.Provider, a.Source = f.Provider, from.Detail
	}
	if d.enableURL != "" && a.EnableURL == "" {
		a.need(EnablePOP)
		a.EnableURL = d.enableURL
	}
	if a.HelpURLs == nil {
		a.HelpURLs = d.helpURLs
	}
	a.MinInterval = max(a.MinInterval, d.minInterval)
	if d.pop.OAuth2Only() {
		a.need(NeedOAuth2)
	}
}

// serviceNames are the SRV services of POP3 and submission, with TLS from the
// first byte before STARTTLS (RFC 8314 section 5.1).
var (
	popServices  = []string{"pop3s", "pop3"}
	smtpServices = []string{"submissions", "submission"}
)

// askSRV looks for SRV records.
func (s *search) askSRV() bool {
	server, record, ok := s.firstSRV(popServices)
	if !ok {
		return false
	}
	s.found.POP = server
	s.found.OtherUsername = s.found.Address.Local
	s.found.Source = Source{Kind: SRV, Detail: record}
	return true
}

// srv is an answer to a question for SRV records.
type srv struct {
	host string
	port int
}

// firstSRV returns the server of the first of two services that the domain has,
// and the name of its record.
func (s *search) firstSRV(services []string) (Server, string, bool) {
	var all []*attempt[srv]
	for _, service := range services {
		all = append(all, begin(&s.group, func() (srv, error) {
			host, port, err := s.lookupSRV(s.ctx, service, s.domain())
			return srv{host, port}, err
		}))
	}
	for i, service := range services {
		record := "_" + service + "._tcp." + s.domain()
		asked := "DNS SRV record " + record
		s.say(StepSRV, asked, "")
		got, err := all[i].wait()
		if err != nil {
			s.say(StepSRV, asked, explain(err))
			continue
		}
		server := Server{Host: got.host, Port: got.port, TLS: []Security{Implicit, StartTLS}[i], Username: s.found.Address.String()}
		s.say(StepSRV, asked, server.String())
		return server, record, true
	}
	return Server{}, "", false
}

// probe looks for a POP3 server under the usual names.
func (s *search) probe() bool {
	d := s.domain()
	server, ok := s.probeFirst("usual names of POP3 servers", popCandidates("pop."+d, "pop3."+d, "mail."+d, d), s.probePOP)
	if !ok {
		return false
	}
	s.found.POP = server
	s.found.OtherUsername = s.found.Address.Local
	s.found.Source = Source{Kind: Probe, Detail: server.String() + " answered"}
	if server.OAuth2Only() {
		s.found.Advice.need(NeedOAuth2)
	}
	return true
}

// completeSMTP looks for an SMTP server where only POP3 is known. It is less
// important, so that nothing found is no error.
func (s *search) completeSMTP() {
	if s.found.SMTP.Known() || s.ctx.Err() != nil {
		return
	}
	if server, _, ok := s.firstSRV(smtpServices); ok {
		s.found.SMTP = server
		return
	}
	d := s.domain()
	hosts := []string{"smtp." + d, "mail." + d}
	if pop := s.found.POP.Host; pop != hosts[1] {
		hosts = append(hosts, pop)
	}
	if server, ok := s.probeFirst("usual names of SMTP servers", smtpCandidates(hosts...), s.probeSMTP); ok {
		s.found.SMTP = server
	}
}

// probeFirst asks all candidates at once and returns the first of them, in their
// order, that is a server.
func (s *search) probeFirst(what string, all []candidate, ask func(context.Context, candidate) ([]Auth, error)) (Server, bool) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.say(StepProbe, what, "")
	attempts := make([]*attempt[[]Auth], len(all))
	for i, c := range all {
		attempts[i] = begin(&s.group, func() ([]Auth, error) { return ask(ctx, c) })
	}
	silent := false
	for i, c := range all {
		auth, err := attempts[i].wait()
		if err == nil {
			s.say(StepProbe, what, c.String())
			return Server{Host: c.host, Port: c.port, TLS: c.tls, Username: s.found.Address.String(), Auth: auth}, true
		}
		if errors.Is(err, context.Canceled) {
			break
		}
		if names := certificateNames(err); names != "" && s.otherCertificate.host == "" {
			s.otherCertificate = otherCertificate{c.host, names}
		}
		switch {
		case dnsFails(err): // for all of them, as a rule: said once
			silent = true
		case !absent(err):
			s.say(StepProbe, c.String(), explain(err))
		}
	}
	if silent {
		s.say(StepProbe, what, "not known: the DNS gives no answer")
	} else {
		s.say(StepProbe, what, "there is none")
	}
	return Server{}, false
}
