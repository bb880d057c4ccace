package discover

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Need is something that has to be done or had before a provider lets a mail
// program in.
type Need string

// The kinds of Need.
const (
	EnablePOP        Need = "enable-pop"          // POP3 has to be switched on
	AppPassword      Need = "app-password"        // a password made for mail programs
	AppPasswordIf2FA Need = "app-password-if-2fa" // the same, with two-factor login
	NeedOAuth2       Need = "oauth2"              // no password, a token
	PaidPlan         Need = "paid-plan"           // not in the free plan
	NoPOP            Need = "no-pop"              // there is no POP3 at all
)

var needWords = map[Need]string{
	EnablePOP:        "switch on POP3 in the settings of the mailbox",
	AppPassword:      "use an app password, which is made in the settings of the mailbox",
	AppPasswordIf2FA: "with two-factor login use an app password, which is made in the settings of the mailbox",
	NeedOAuth2:       "sign in with OAuth2",
	PaidPlan:         "have a paid plan: the free one has no access for mail programs",
	NoPOP:            "use another way: there is no POP3",
}

// maxMinutes is the longest interval between two polls that is believed.
const maxMinutes = 24 * 60

// Advice is what a provider asks of those who fetch mail by POP3. The zero
// Advice is that nothing is known.
type Advice struct {
	Provider    string
	Needs       [][]Need      // all of the outer list, one of each inner one
	EnableURL   string        // where POP3 is switched on
	HelpURLs    []string      // the provider's help
	MinInterval time.Duration // least time between two polls; 0 if none is known
	Note        string        // whole sentences
	Source      string        // where the servers are from
	Date        string        // of the source: YYYY, YYYY-MM, YYYY-MM-DD or "undated"
	NoteSource  string        // where Needs and Note are from; may be empty
	NoteDate    string        // as Date
}

func parseNeeds(cell string) ([][]Need, error) {
	if cell == "" {
		return nil, nil
	}
	var needs [][]Need
	for _, all := range strings.Split(cell, "+") {
		var one []Need
		for _, n := range strings.Split(all, "|") {
			if needWords[Need(n)] == "" {
				return nil, fmt.Errorf("unknown need %q", n)
			}
			one = append(one, Need(n))
		}
		needs = append(needs, one)
	}
	return needs, nil
}

// wants reports whether nothing else than n will do.
func (a Advice) wants(n Need) bool {
	return slices.ContainsFunc(a.Needs, func(one []Need) bool { return len(one) == 1 && one[0] == n })
}

// need adds n unless it is there.
func (a *Advice) need(n Need) {
	if !slices.ContainsFunc(a.Needs, func(one []Need) bool { return slices.Contains(one, n) }) {
		a.Needs = append(slices.Clip(a.Needs), []Need{n})
	}
}

// Lines returns the advice as sentences for a person, one a line, without full
// stops at the end of those that are to be done.
func (a Advice) Lines() []string {
	var lines []string
	for _, one := range a.Needs {
		words := make([]string, len(one))
		for i, n := range one {
			words[i] = needWords[n]
			if n == EnablePOP && a.EnableURL != "" {
				words[i] += ": " + a.EnableURL
			}
		}
		lines = append(lines, strings.Join(words, ", or "))
	}
	if a.MinInterval > 0 {
		lines = append(lines, fmt.Sprintf("poll at most every %d minutes", int(a.MinInterval/time.Minute)))
	}
	if a.Note != "" {
		lines = append(lines, a.Note)
	}
	for _, u := range a.HelpURLs {
		lines = append(lines, "help: "+u)
	}
	return lines
}

// Refused returns the hint for a password that the provider refused, or "" where
// nothing is known that could help.
func (a Advice) Refused() string {
	var b strings.Builder
	for _, line := range a.Lines() {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(strings.TrimSuffix(line, "."))
	}
	if b.Len() == 0 {
		return ""
	}
	return a.Provider + ": " + b.String()
}

// AdviceFor returns what the provider table knows for an account that exists,
// by its POP3 host; of several rows with that host the one that has the domain of
// the address. It asks nothing of the network. The address may be any user name.
func AdviceFor(address, popHost string) (Advice, bool) {
	if p, _ := rowFor(address, popHost); p != nil {
		return p.advice, true
	}
	return Advice{}, false
}

// SenderFor returns the SMTP server that the provider table has for an account that
// exists, found as AdviceFor does by its user name and POP3 host. One without encryption
// is none.
func SenderFor(username, popHost string) (Server, bool) {
	p, a := rowFor(username, popHost)
	if p == nil {
		return Server{}, false
	}
	pop, smtp := p.servers(a)
	if !strings.EqualFold(pop.Username, username) { // it logs in there by another name than usual
		smtp.Username = username
	}
	return smtp, smtp.Known() && smtp.TLS != None
}

func rowFor(address, popHost string) (*provider, Address) {
	local, domain, _ := strings.Cut(address, "@")
	domain = strings.ToLower(domain)
	a := Address{Local: local, Domain: domain, text: address}
	if p := builtin().byDomain(domain); p != nil && p.pop.Known() && fill(p.pop.Host, a) == strings.ToLower(popHost) {
		return p, a
	}
	for _, p := range builtin().rows {
		if p.pop.Known() && p.pop.Host == strings.ToLower(popHost) {
			return p, a
		}
	}
	return nil, a
}
