package discover

import (
	_ "embed" // the provider table
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
)

//go:embed providers.tsv
var providersTSV string

// provider is a row of the provider table, whose columns README.md explains.
type provider struct {
	name      string
	domains   []string // of addresses; "*.example.com" is all below it
	mx        []string // ends of the names of mail exchangers
	pop, smtp Server   // Host and Username with placeholders; zero where unknown
	advice    Advice
}

// noPOP reports whether the provider is known to have no POP3.
func (p *provider) noPOP() bool { return p.advice.wants(NoPOP) }

// servers returns the servers of an address.
func (p *provider) servers(a Address) (pop, smtp Server) {
	pop, smtp = p.pop, p.smtp
	for _, s := range []*Server{&pop, &smtp} {
		s.Host, s.Username, s.Auth = fill(s.Host, a), fill(s.Username, a), slices.Clone(s.Auth)
	}
	return pop, smtp
}

// table is the provider table, by domain and by the ends of names of mail exchangers.
type table struct {
	rows   []*provider
	domain map[string]*provider
	mx     map[string]*provider
}

// builtin is the table of the program. A mistake in it is one of the program,
// and TestEveryRow finds it.
var builtin = sync.OnceValue(func() *table {
	t, err := parseTable(providersTSV)
	if err != nil {
		panic(err)
	}
	return t
})

// byDomain returns the provider of the domain of an address, or nil.
func (t *table) byDomain(domain string) *provider {
	if p := t.domain[domain]; p != nil {
		return p
	}
	if _, above, ok := strings.Cut(domain, "."); ok {
		return t.domain["*."+above]
	}
	return nil
}

// byMX returns the provider that runs a mail exchanger, or nil: the longest end
// of its name that the table has, down to its registrable domain. Providers host
// other domains under the names of their own, so domains count here as well.
func (t *table) byMX(host string) *provider {
	base, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return nil
	}
	for name := host; len(name) >= len(base); {
		if p := t.mx[name]; p != nil {
			return p
		}
		if p := t.domain[name]; p != nil {
			return p
		}
		_, above, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = above
	}
	return nil
}

const tableHeader = "name\tdomains\tmx\tpop\tsmtp\tneeds\tenable\thelp\tminutes\tnote\tsource\tdate\tfacts\tfacts_date"

func parseTable(text string) (*table, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != tableHeader {
		return nil, fmt.Errorf("provider table: columns %q, not %q", lines[0], tableHeader)
	}
	t := &table{domain: make(map[string]*provider), mx: make(map[string]*provider)}
	for i, line := range lines[1:] {
		p, err := parseRow(strings.Split(line, "\t"))
		if err != nil {
			return nil, fmt.Errorf("provider table, line %d: %w", i+2, err)
		}
		t.rows = append(t.rows, p)
		for to, names := range map[*map[string]*provider][]string{&t.domain: p.domains, &t.mx: p.mx} {
			for _, name := range names {
				if (*to)[name] != nil {
					return nil, fmt.Errorf("provider table, line %d: %s is there twice", i+2, name)
				}
				(*to)[name] = p
			}
		}
	}
	return t, nil
}

func parseRow(cells []string) (*provider, error) {
	if len(cells) != strings.Count(tableHeader, "\t")+1 {
		return nil, fmt.Errorf("%d columns", len(cells))
	}
	p := &provider{name: cells[0], domains: strings.Fields(cells[1]), mx: strings.Fields(cells[2])}
	if p.name == "" || len(p.domains) == 0 {
		return nil, fmt.Errorf("no name or no domain")
	}
	var err error
	if p.pop, err = parseServer(cells[3]); err != nil {
		return nil, err
	}
	if p.smtp, err = parseServer(cells[4]); err != nil {
		return nil, err
	}
	p.advice = Advice{
		Provider: p.name, EnableURL: cells[6], Note: cells[9],
		Source: cells[10], Date: cells[11], NoteSource: cells[12], NoteDate: cells[13],
	}
	if cells[7] != "" {
		p.advice.HelpURLs = strings.Fields(cells[7])
	}
	if p.advice.Needs, err = parseNeeds(cells[5]); err != nil {
		return nil, err
	}
	for _, link := range append([]string{p.advice.EnableURL}, p.advice.HelpURLs...) {
		if u, err := url.Parse(link); link != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
			return nil, fmt.Errorf("%s is not an https link", link)
		}
	}
	if cells[8] != "" {
		minutes, err := strconv.Atoi(cells[8])
		if err != nil || minutes < 1 || minutes > maxMinutes {
			return nil, fmt.Errorf("%q minutes", cells[8])
		}
		p.advice.MinInterval = time.Duration(minutes) * time.Minute
	}
	return p, nil
}

// userForms are the forms of user names in the table.
var userForms = map[string]string{
	"address":      "%EMAILADDRESS%",
	"local":        "%EMAILLOCALPART%",
	"local.domain": "%EMAILLOCALPART%.%EMAILDOMAIN%",
	"none":         "",
}

// parseServer reads "host:port:tls:auth:user"; an empty cell is no server.
func parseServer(cell string) (Server, error) {
	if cell == "" {
		return Server{}, nil
	}
	parts := strings.Split(cell, ":")
	if len(parts) != 5 {
		return Server{}, fmt.Errorf("server %q has %d parts", cell, len(parts))
	}
	port, err := strconv.Atoi(parts[1])
	if err != nil || port < 1 || port > 65535 {
		return Server{}, fmt.Errorf("server %q: port", cell)
	}
	user, known := userForms[parts[4]]
	if !known {
		return Server{}, fmt.Errorf("server %q: user name", cell)
	}
	s := Server{Host: parts[0], Port: port, TLS: Security(parts[2]), Username: user}
	if s.TLS != Implicit && s.TLS != StartTLS && s.TLS != None {
		return Server{}, fmt.Errorf("server %q: TLS", cell)
	}
	if _, ok := hostName(strings.ReplaceAll(s.Host, "%EMAILDOMAIN%", "example.com")); !ok {
		return Server{}, fmt.Errorf("server %q: host", cell)
	}
	if parts[3] == "none" {
		return s, nil
	}
	for _, a := range strings.Split(parts[3], "+") {
		if a := Auth(a); a != Password && a != Encrypted && a != OAuth2 {
			return Server{}, fmt.Errorf("server %q: login", cell)
		}
		s.Auth = append(s.Auth, Auth(a))
	}
	return s, nil
}
