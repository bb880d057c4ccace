package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/oauth"
)

// OAuth is how accounts are signed in at a provider that takes tokens in place of
// passwords: a table [oauth.NAME].
type OAuth struct {
	Name       string
	Provider   string // one of oauth.Providers; empty: its endpoints are all in the file
	ClientID   string
	SecretFile string // absolute; empty: the client has no secret
	Endpoints  oauth.Endpoints
}

// OAuthKey reports whether a table [oauth.NAME] has a key of this name.
func OAuthKey(name string) bool { return slices.Contains(schema["oauth"], name) }

// oauthTables reads the tables [oauth.NAME], in the order of their names.
func (r *reader) oauthTables(t *table) (list []OAuth) {
	tables, _ := take[map[string]any](t, "oauth", "tables with a name each, written as a line [oauth.NAME]")
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		path := joinKey("oauth", name)
		sub := &table{doc: t.doc, kind: "oauth", path: path, line: t.doc.lines[path]}
		var ok bool
		if sub.values, ok = tables[name].(map[string]any); !ok {
			if !slices.Contains(schema["oauth"], name) {
				t.reportAt(path, &mistake{"is " + typeName(tables[name]), "must be a table, written as a line [oauth.NAME]"})
			} else {
				t.reportAt(path, &mistake{"there is no name of what it belongs to", "write a line [oauth.NAME] above it, such as [oauth.work]"})
			}
			continue
		}
		if _, m := readID(name); m != nil {
			t.reportAt(path, m)
		}
		list = append(list, r.oauth(sub, name))
	}
	return list
}

func (r *reader) oauth(t *table, name string) OAuth {
	t.unknown()
	t.required("client_id", "register popbridge with the provider and write the id that it gives: docs/oauth.md")
	o := OAuth{Name: name, ClientID: text(t, "client_id", "", "text in quotes", readToken), SecretFile: r.path(t, "client_secret_file", "")}
	provider := ""
	if slices.Contains(oauth.Providers(), name) {
		provider = name
	}
	o.Provider = text(t, "provider", provider, "text in quotes", func(s string) (string, *mistake) {
		if !slices.Contains(oauth.Providers(), s) {
			return "", &mistake{quote(s) + " is not known here", "must be " + list(oauth.Providers()) + "; of any other, set authorize_url, token_url and scopes, and leave out provider"}
		}
		return s, nil
	})
	tenant := text(t, "tenant", "", `text in quotes, such as "example.com"`, readToken)
	if t.has("tenant") && !strings.HasPrefix(o.Provider, "microsoft") {
		t.report("tenant", &mistake{"only Microsoft has tenants", `set provider = "microsoft", or delete this line`})
	}
	e, builtin := oauth.Builtin(o.Provider, tenant)
	if !builtin {
		e.PKCE = true
	}
	for _, u := range []struct {
		key      string
		to       *string
		required bool
	}{{"authorize_url", &e.Authorize, true}, {"token_url", &e.Token, true}, {"device_url", &e.Device, false}} {
		if u.required && *u.to == "" && !(t.has("provider") && o.Provider == "") {
			t.required(u.key, fmt.Sprintf(`name it as the provider documents it, or set provider = %s`, list(oauth.Providers())))
		}
		*u.to = text(t, u.key, *u.to, "a URL in quotes", readURL)
	}
	if t.has("authorize_url") {
		e.Issuer = "" // of another server it is not known
	}
	e.Redirect = text(t, "redirect", e.Redirect, `a URL in quotes, such as "http://127.0.0.1"`, readRedirect)
	e.Resource = text(t, "resource", e.Resource, "text in quotes", readToken)
	e.PKCE = boolean(t, "pkce", e.PKCE)
	if scopes := readScopes(t); scopes != nil {
		e.POP, e.SMTP, e.Other = scopes, scopes, nil
	} else if !builtin && e.Resource == "" && o.Provider == "" && !t.has("provider") && !t.has("scopes") {
		t.required("scopes", `name what is to be allowed, as the provider documents it: scopes = ["…"]`)
	}
	o.Endpoints = e
	return o
}

// readToken reads what goes to the provider as it is.
func readToken(s string) (string, *mistake) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &mistake{"is empty, or has a blank or another character that cannot be in it", "copy it from the pages of the provider"}
	}
	return s, nil
}

// readURL reads where tokens are asked for: what goes there is secret.
func readURL(s string) (string, *mistake) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return "", &mistake{"is not a URL", `write it like "https://login.example.com/token"`}
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return "", &mistake{"what goes there would not be encrypted", "write a URL that begins with https://"}
	}
	return s, nil
}

func readRedirect(s string) (string, *mistake) {
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Fragment != "" {
		return "", &mistake{"is not a URL", `write it as it is registered with the provider, such as "http://127.0.0.1"`}
	}
	return s, nil
}

func readScopes(t *table) (list []string) {
	values, _ := take[[]any](t, "scopes", `a list: ["offline_access", "…"]`)
	for i, v := range values {
		s, ok := v.(string)
		if _, m := readToken(s); !ok || m != nil {
			t.reportAt(fmt.Sprintf("%s[%d]", joinKey(t.path, "scopes"), i+1), &mistake{"is not text without blanks", "write each scope in quotes of its own"})
			continue
		}
		list = append(list, s)
	}
	return list
}

// signIn finds how an account is signed in to fetch; nil: it has a password, or the token
// of another program.
func (r *reader) signIn(t *table, a Account) *OAuth {
	name := text(t, "oauth", "", "the NAME of a table [oauth.NAME] in quotes", readID)
	if a.Auth != AuthOAuth2 {
		if t.has("oauth") && !t.has("auth") {
			t.report("oauth", &mistake{"the account logs in with a password", `add auth = "oauth2"`})
		} else if t.has("oauth") {
			t.report("oauth", &mistake{"the account does not sign in", `set auth = "oauth2", or delete this line`})
		}
		return nil
	}
	if !a.Password.InKeychain() {
		if t.has("oauth") {
			t.report("oauth", &mistake{"the token comes from password_file or password_command", "keep one of the two"})
		}
		return nil
	}
	return r.found(t, name, a.Host, "POP", func(e oauth.Endpoints) []string { return e.POP })
}

// found is the table by which a server is signed in at whose tokens have these scopes; nil
// where there is none, which is reported.
func (r *reader) found(t *table, name, host, what string, scopes func(oauth.Endpoints) []string) *OAuth {
	found, m := r.oauthFor(name, host)
	switch key := "auth"; {
	case t.has("oauth") && name == "": // which is reported
	case m != nil:
		if t.has("oauth") {
			key = "oauth"
		}
		t.report(key, m)
	case found.Endpoints.Token == "": // of no provider that is known, which is reported
	case len(scopes(found.Endpoints)) == 0 && found.Endpoints.Resource == "":
		hint := `set auth = "password", with an app password of the provider`
		if what == "POP" {
			hint += `; to send by a sign-in all the same: send.auth = "oauth2"`
		}
		t.report(key, &mistake{"the " + what + " servers of " + found.Name + " take no token", hint})
	default:
		return found
	}
	return nil
}

// signInToSend finds how an account is signed in that is to send, where that is not how it
// is to fetch. An account is signed in once.
func (r *reader) signInToSend(t *table, a Account) *OAuth {
	name := text(t, "oauth", "", "the NAME of a table [oauth.NAME] in quotes", readID)
	switch {
	case t.has("oauth") && a.Send.Auth != AuthOAuth2:
		t.report("oauth", &mistake{"what the account sends leaves with a password", `set auth = "oauth2" here, or delete this line`})
	case t.has("oauth") && !a.Send.Password.InKeychain():
		t.report("oauth", &mistake{"the token comes from password_file or password_command", "keep one of the two"})
	case t.has("oauth") && a.OAuth != nil && a.OAuth.Name != name:
		t.report("oauth", &mistake{"the account is signed in by [oauth." + a.OAuth.Name + "] to fetch, and an account is signed in once", "delete this line"})
	case a.Send.Auth != AuthOAuth2, !a.Send.Password.InKeychain(), a.Auth == AuthOAuth2 && !t.has("oauth"): // the token to fetch is that to send
	default:
		return r.found(t, name, cmp.Or(a.Send.Host, a.Host), "SMTP", func(e oauth.Endpoints) []string { return e.SMTP })
	}
	return a.OAuth
}

// tokenGoes reports that the token of a provider would go to an outgoing server of another.
func tokenGoes(t *table, a Account) {
	if a.Send.Host == "" || a.TokenFor(a.Send) { // without a host it is looked at where one is found
		return
	}
	t.report("host", &mistake{"this server would get the token of " + a.OAuth.Provider + ", which opens the whole mailbox there",
		`give it a password of its own, password_file = "…", or delete this table: mail then leaves by the server of the provider`})
}

// TokenFor reports whether an outgoing server may get what the account signs in with: the
// token of a provider that is known is for its servers alone, with encryption, and for the
// one that it is fetched with. It is true where no token would be sent.
func (a Account) TokenFor(s Send) bool {
	return !a.SignsInToSend() || a.OAuth.Provider == "" || isLoopback(s.Host) || s.TLS != None && oauth.ProviderOf(s.Host) == a.OAuth.Provider ||
		a.SignsInToFetch() && s.Host == a.Host && (s.TLS != None || a.TLS == None)
}

// oauthFor is the table of a name, or without one that which fits the server.
func (r *reader) oauthFor(name, host string) (*OAuth, *mistake) {
	var names []string
	var fit []OAuth
	provider := oauth.ProviderOf(host)
	for _, o := range r.cfg.OAuth {
		names = append(names, o.Name)
		if o.Name == name {
			return &o, nil
		}
		if o.Provider == provider && o.ClientID != "" {
			fit = append(fit, o)
		}
	}
	hint := "write one, with the client_id that the provider gives (docs/oauth.md); password_command may bring the token of another program"
	if provider != "" {
		hint = strings.Replace(hint, "one", "[oauth."+provider+"]", 1)
	}
	switch {
	case name != "" && len(names) > 0:
		return nil, &mistake{"there is no table [oauth." + name + "]", DidYouMean(name, names) + "there are: " + strings.Join(names, ", ")}
	case name != "":
		return nil, &mistake{"there is no table [oauth." + name + "]", hint}
	case len(fit) == 1:
		return &fit[0], nil
	case len(fit) > 1:
		return nil, &mistake{"several tables [oauth.NAME] fit this server", `name one: oauth = "` + fit[0].Name + `"`}
	case len(names) > 0:
		return nil, &mistake{"no table [oauth.NAME] is for this server", hint + `; or name another one, oauth = "NAME": ` + strings.Join(names, ", ")}
	}
	return nil, &mistake{"there is no table [oauth.NAME], by which the account could sign in", hint}
}
