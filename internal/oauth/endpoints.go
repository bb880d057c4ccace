package oauth

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// Endpoints are what has to be known of a provider.
type Endpoints struct {
	Authorize string // where a browser signs in; all URLs are https, http only on loopback
	Token     string // where codes and refresh tokens are exchanged
	Device    string // where a sign-in on another device begins; empty where there is none for mail

	// Issuer is the iss that has to come back with a code (RFC 9207); empty:
	// not checked. With {tenantid} in it, as Microsoft publishes its own, any
	// tenant will do and iss may be absent.
	Issuer string

	POP, SMTP   []string   // scopes of each; empty where the provider takes no tokens there
	Other       []string   // further scopes: offline_access and the like
	Authorizing url.Values // further parameters of the authorisation request
	Resource    string     // asked for in place of scopes, where not empty
	PKCE        bool       // S256 of RFC 7636

	// Redirect is the registered redirect URI. On http and a loopback host
	// (127.0.0.1, [::1] or localhost) popbridge listens there, on a free port
	// where it names none. Any other is sent as it is, and a person has to
	// paste where the browser ends. Empty is http://127.0.0.1.
	Redirect string
}

const (
	microsoftHost   = "https://login.microsoftonline.com/"
	microsoftCNHost = "https://login.partner.microsoftonline.cn/"
	outlookScope    = "https://outlook.office.com/"
	loopback        = "http://127.0.0.1"
)

// builtin are the providers that take tokens for POP or SMTP, without
// Microsoft, whose URLs depend on the tenant.
var builtin = map[string]Endpoints{
	// developers.google.com/identity/protocols/oauth2/native-app. Its device
	// endpoint issues no scope of mail. Without access_type there is no refresh
	// token, and without prompt none for who agreed before; and nobody signs in
	// here who has a usable one.
	"google": {
		Authorize: "https://accounts.google.com/o/oauth2/v2/auth", Token: "https://oauth2.googleapis.com/token",
		Issuer: "https://accounts.google.com",
		POP:    []string{"https://mail.google.com/"}, SMTP: []string{"https://mail.google.com/"},
		Authorizing: url.Values{"access_type": {"offline"}, "prompt": {"consent"}}, PKCE: true, Redirect: loopback,
	},
	// www.fastmail.com/for-developers/oauth: one URL for both kinds of exchange; a
	// redirect URI to this machine begins with http://localhost/.
	"fastmail": {
		Authorize: "https://api.fastmail.com/oauth/authorize", Token: "https://api.fastmail.com/oauth/refresh",
		Issuer: "https://api.fastmail.com",
		POP:    []string{"https://www.fastmail.com/dev/protocol-pop"}, SMTP: []string{"https://www.fastmail.com/dev/protocol-smtp"},
		PKCE: true, Redirect: "http://localhost/",
	},
	// developer.yahoo.com/oauth2/guide/flows_authcode. Yahoo and AOL register no http redirect, so the last address of the
	// browser, which cannot be opened, is pasted.
	"yahoo": {
		Authorize: "https://api.login.yahoo.com/oauth2/request_auth", Token: "https://api.login.yahoo.com/oauth2/get_token",
		POP: []string{"mail-w"}, SMTP: []string{"mail-w"}, PKCE: true, Redirect: "https://127.0.0.1",
	},
	"aol": {
		Authorize: "https://api.login.aol.com/oauth2/request_auth", Token: "https://api.login.aol.com/oauth2/get_token",
		POP: []string{"mail-w"}, SMTP: []string{"mail-w"}, PKCE: true, Redirect: "https://127.0.0.1",
	},
	"comcast": {
		Authorize: "https://oauth.xfinity.com/oauth/authorize", Token: "https://oauth.xfinity.com/oauth/token",
		POP: []string{"https://email.comcast.net/"}, SMTP: []string{"https://email.comcast.net/"},
		Other: []string{"profile", "openid"}, PKCE: true, Redirect: "http://localhost",
	},
	// Its POP server takes no tokens.
	"yandex": {
		Authorize: "https://oauth.yandex.com/authorize", Token: "https://oauth.yandex.com/token",
		Device: "https://oauth.yandex.com/device/code",
		SMTP:   []string{"mail:smtp"}, PKCE: true, Redirect: "https://oauth.yandex.com/verification_code",
	},
}

// Providers are the names that [Builtin] knows, sorted.
func Providers() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(builtin) {
			if !yield(name) {
				return
			}
		}
		_ = yield("microsoft") && yield("microsoft-cn")
	})
}

// Builtin returns the endpoints of a provider, which the caller may change.
// The tenant matters to Microsoft alone: common (also of an empty one),
// consumers, organizations, a GUID or a domain.
func Builtin(provider, tenant string) (Endpoints, bool) {
	if tenant == "" {
		tenant = "common"
	}
	tenant = url.PathEscape(tenant)
	switch provider {
	case "microsoft":
		base := microsoftHost + tenant + "/oauth2/v2.0/"
		return Endpoints{
			Authorize: base + "authorize", Token: base + "token", Device: base + "devicecode",
			Issuer: microsoftHost + "{tenantid}/v2.0",
			POP:    []string{outlookScope + "POP.AccessAsUser.All"}, SMTP: []string{outlookScope + "SMTP.Send"},
			Other: []string{"offline_access"}, PKCE: true, Redirect: "http://localhost",
		}, true
	case "microsoft-cn": // operated by 21Vianet: version 1 of the protocol, which has resources
		base := microsoftCNHost + tenant + "/oauth2/"
		return Endpoints{
			Authorize: base + "authorize", Token: base + "token", Device: base + "devicecode",
			Resource: "https://partner.outlook.cn", PKCE: true, Redirect: "http://localhost",
		}, true
	}
	e, ok := builtin[provider]
	e.POP, e.SMTP, e.Other = slices.Clone(e.POP), slices.Clone(e.SMTP), slices.Clone(e.Other)
	e.Authorizing = maps.Clone(e.Authorizing)
	return e, ok
}

// Scopes are those of POP and SMTP and the others, each once.
func (e Endpoints) Scopes() []string {
	var all []string
	for _, scope := range slices.Concat(e.POP, e.SMTP, e.Other) {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// Check reports a URL that cannot be used.
func (e Endpoints) Check() error {
	for _, u := range []struct{ what, url string }{{"authorize_url", e.Authorize}, {"token_url", e.Token}} {
		if err := checkURL(u.what, u.url); err != nil {
			return err
		}
	}
	if e.Device != "" {
		if err := checkURL("device_url", e.Device); err != nil {
			return err
		}
	}
	if e.Redirect != "" {
		// Yahoo has a word in place of a URL.
		if u, err := url.Parse(e.Redirect); err != nil || u.Scheme == "" && e.Redirect != "oob" || u.Fragment != "" {
			return fault.New(fault.Config, "redirect is no URL: "+fault.Quote(e.Redirect),
				"write it as it is registered with the provider, such as http://127.0.0.1")
		}
	}
	return nil
}

// checkURL permits https, and http to this machine. A password in a URL would
// show up in texts.
func checkURL(what, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return fault.New(fault.Config, what+" is missing", "name a provider that popbridge knows, or set "+what+" (see docs/oauth.md)")
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return fault.New(fault.Config, what+" is no URL", "write it as in https://login.example.com/token")
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return fault.New(fault.Config, what+" is not encrypted: "+fault.Quote(u.Scheme+"://"+u.Host), "use an https URL")
	}
	return nil
}

// isLoopback reports whether a host is this machine, by name or by address.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
