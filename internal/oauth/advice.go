package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// stage is what was asked for when a provider refused.
type stage uint8

const (
	authorizing   stage = iota // the browser came back with an error
	exchanging                 // a code for tokens
	refreshing                 // a refresh token for an access token
	beginDevice                // a code for another device
	deviceWaiting              // whether the code was entered
)

const (
	signInAgain   = "sign in again (popbridge account signin)"
	checkEndpoint = "check token_url and the provider of this [oauth] section"
)

// advice is what one cause means. The first that fits counts.
type advice struct {
	aadsts []string // Microsoft's codes
	codes  []string // error
	words  []string // any of these in the description, in lower case
	at     []stage  // none: any
	kind   fault.Kind
	text   string
	hint   string
}

func (a advice) fits(e *Error, at stage) bool {
	if len(a.at) > 0 && !slices.Contains(a.at, at) {
		return false
	}
	if slices.Contains(a.aadsts, e.AADSTS) {
		return true
	}
	if len(a.codes) > 0 && !slices.Contains(a.codes, e.Code) {
		return false
	}
	described := strings.ToLower(e.Description)
	if len(a.words) > 0 {
		return slices.ContainsFunc(a.words, func(w string) bool { return strings.Contains(described, w) })
	}
	return len(a.codes) > 0
}

// policy are Microsoft's refusals by conditional access: by place, device or
// flow. They can end without a new sign-in, with the network for instance.
var policy = []string{"AADSTS53000", "AADSTS53001", "AADSTS53002", "AADSTS53003", "AADSTS53009", "AADSTS53011", "AADSTS530003", "AADSTS530036", "AADSTS50005", "AADSTS50131", "AADSTS50158"}

// causes are from learn.microsoft.com/entra/identity-platform/reference-error-codes,
// developers.google.com/identity/protocols/oauth2/native-app#error-codes and
// RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5.
var causes = []advice{
	{aadsts: []string{"AADSTS90033", "AADSTS90006", "AADSTS50196"}, kind: fault.Temporary,
		text: "Microsoft cannot answer now", hint: "popbridge tries again by itself"},
	{aadsts: []string{"AADSTS50011", "AADSTS500113", "AADSTS700054"}, kind: fault.Config,
		text: "the redirect URI is not registered with Microsoft",
		hint: `add "http://localhost" under Authentication, platform "Mobile and desktop applications" of the app registration; with another one set redirect to it`},
	{aadsts: []string{"AADSTS700016", "AADSTS900971", "AADSTS70001"}, kind: fault.Config,
		text: "Microsoft does not know this client_id in this tenant",
		hint: "check client_id, and set tenant to that of the app registration unless it is for all accounts"},
	{aadsts: []string{"AADSTS50194"}, kind: fault.Config,
		text: "the app registration is for one tenant only", hint: "set tenant to its id or domain, or permit accounts of any directory in the app registration"},
	{aadsts: []string{"AADSTS90002"}, kind: fault.Config,
		text: "Microsoft does not know this tenant", hint: "check tenant: an id (GUID) or a domain of the organisation, common, consumers or organizations"},
	{aadsts: []string{"AADSTS50020", "AADSTS50034", "AADSTS9001023", "AADSTS90023", "AADSTS500200", "AADSTS50128", "AADSTS90072"}, kind: fault.Config,
		text: "the account that was chosen does not exist in this tenant",
		hint: `sign in with the account of the mailbox; tenant = "consumers" is for personal accounts, "organizations" or the organisation's own for those of work and school`},
	{aadsts: []string{"AADSTS7000218"}, kind: fault.Config,
		text: "Microsoft takes the app for one that keeps a secret",
		hint: `set "Allow public client flows" to yes in the app registration, and register the redirect URI for "Mobile and desktop applications", not for "Web"; or set client_secret_file`},
	{aadsts: []string{"AADSTS7000215", "AADSTS7000222", "AADSTS7000212"}, kind: fault.Config,
		text: "the client secret is wrong or has expired",
		hint: "write the value of the secret, not its id, into client_secret_file; a public client needs none"},
	{aadsts: []string{"AADSTS700025", "AADSTS90023"}, kind: fault.Config,
		text: "the app is a public client and may not have a secret", hint: "remove client_secret_file"},
	{aadsts: []string{"AADSTS9002326", "AADSTS9002327"}, kind: fault.Config,
		text: `the redirect URI is registered for a "single-page application"`,
		hint: `register it for "Mobile and desktop applications"`},
	{aadsts: []string{"AADSTS70011", "AADSTS650053", "AADSTS28002", "AADSTS28003"}, kind: fault.Config,
		text: "Microsoft does not know a scope that was asked for", hint: "check scopes of this [oauth] section; those built in are for Outlook.com and Microsoft 365"},
	{aadsts: []string{"AADSTS650051", "AADSTS650052", "AADSTS500011"}, kind: fault.Config,
		text: "the organisation has no Exchange Online, or it does not know the scopes", hint: "check tenant and scopes"},
	{aadsts: []string{"AADSTS65001", "AADSTS65004", "AADSTS90094", "AADSTS90095", "AADSTS900941", "AADSTS900981"}, kind: fault.Denied,
		text: "access to the mail was not granted to the app",
		hint: "sign in again and agree; where the page asks for the approval of an administrator, an administrator of the organisation has to grant POP.AccessAsUser.All and SMTP.Send to the app"},
	{aadsts: policy, kind: fault.Denied,
		text: "the organisation's policy refuses the sign-in from this device, network or by this way",
		hint: "the token is kept; try again from the usual network (without a VPN), with the browser instead of a device code, or ask the administrator"},
	{aadsts: []string{"AADSTS50105"}, kind: fault.Denied,
		text: "the organisation permits this app to chosen users only", hint: "ask the administrator to assign the app to you"},
	{aadsts: []string{"AADSTS50057", "AADSTS50053"}, kind: fault.Auth,
		text: "the account is locked or disabled", hint: "ask the provider or the administrator"},
	{aadsts: []string{"AADSTS50076", "AADSTS50079", "AADSTS50078", "AADSTS50074"}, kind: fault.Auth,
		text: "Microsoft asks for a second factor", hint: signInAgain + "; the browser asks for the second factor"},
	{aadsts: []string{"AADSTS50173", "AADSTS50133", "AADSTS50132"}, kind: fault.Auth,
		text: "the password was changed, or all sessions were ended, since the sign-in", hint: signInAgain},
	{aadsts: []string{"AADSTS700082", "AADSTS70043", "AADSTS700084"}, kind: fault.Auth,
		text: "the sign-in was too old or not used for too long",
		hint: signInAgain + `; if this happens every day, register the redirect URI for "Mobile and desktop applications", not as "single-page application"`},
	{aadsts: []string{"AADSTS70000", "AADSTS70008"}, at: []stage{refreshing}, kind: fault.Auth,
		text: "Microsoft no longer accepts the sign-in", hint: signInAgain},

	{codes: []string{"redirect_uri_mismatch"}, kind: fault.Config,
		text: "the redirect URI is not registered for this client",
		hint: `with Google the client has to be of the type "Desktop app"; else set redirect to what is registered`},
	{words: []string{"redirect_uri", "redirect uri"}, codes: []string{"invalid_request", "invalid_grant"}, at: []stage{authorizing, exchanging}, kind: fault.Config,
		text: "the provider does not accept the redirect URI", hint: "set redirect to exactly what is registered for this client"},
	{codes: []string{"org_internal"}, kind: fault.Config,
		text: "the Google project is for members of its organisation only",
		hint: `set the user type of the project to "External" (Google Auth Platform, Audience), or sign in with an account of the organisation`},
	{codes: []string{"admin_policy_enforced"}, kind: fault.Denied,
		text: "the Google Workspace administrator does not permit this app", hint: "ask the administrator to trust the client_id for https://mail.google.com/"},
	{codes: []string{"disallowed_useragent"}, kind: fault.Config,
		text: "Google does not sign in inside of other programs", hint: "open the URL in an ordinary browser"},
	{codes: []string{"deleted_client", "invalid_client"}, words: []string{"deleted"}, kind: fault.Config,
		text: "the client was deleted", hint: "register a new client and set client_id"},
	{codes: []string{"invalid_client", "unauthorized_client"}, words: []string{"secret"}, kind: fault.Config,
		text: "the client secret is missing or wrong",
		hint: "set client_secret_file to a file with the secret of this client_id; Google gives one to desktop apps as well"},
	{codes: []string{"invalid_client"}, kind: fault.Config,
		text: "the provider does not know this client, or its secret is wrong", hint: "check client_id and client_secret_file"},
	{codes: []string{"unauthorized_client"}, kind: fault.Config,
		text: "the client may not sign in this way",
		hint: `check client_id and its type: Google "Desktop app", Microsoft "Mobile and desktop applications" with public client flows allowed; a token needs the client_id that it was issued for`},
	{codes: []string{"invalid_scope"}, kind: fault.Config,
		text: "the provider does not give this client the scopes", hint: "check scopes, and that the client is permitted to read mail"},
	{codes: []string{"invalid_grant"}, words: []string{"code_verifier", "code verifier"}, at: []stage{exchanging}, kind: fault.Protocol,
		text: "the provider did not accept the proof of the sign-in", hint: "sign in once more, and paste only the last address of this very sign-in"},
	{codes: []string{"invalid_grant"}, words: []string{"malformed"}, at: []stage{exchanging}, kind: fault.Auth,
		text: "the code is not whole", hint: "sign in once more, and paste the whole last address"},
	{codes: []string{"invalid_grant"}, at: []stage{exchanging}, kind: fault.Auth,
		text: "the code of the sign-in has expired or was used before", hint: "sign in once more; a code lives for a few minutes"},
	{codes: []string{"invalid_grant"}, words: []string{"expired or revoked"}, at: []stage{refreshing}, kind: fault.Auth,
		text: "the provider no longer accepts the sign-in",
		hint: signInAgain + `; if a Google sign-in ends after 7 days, the project is in "Testing": set it to "In production" (Google Auth Platform, Audience)`},
	{codes: []string{"invalid_grant"}, at: []stage{refreshing}, kind: fault.Auth,
		text: "the provider no longer accepts the sign-in", hint: signInAgain},
	{codes: []string{"invalid_grant"}, kind: fault.Auth, text: "the provider does not accept the code", hint: "begin the sign-in again"},
	{codes: []string{"interaction_required", "login_required", "consent_required", "account_selection_required"}, kind: fault.Auth,
		text: "the provider wants to see the person", hint: signInAgain},
	{codes: []string{"access_denied", "authorization_declined"}, words: []string{"test", "verif"}, kind: fault.Denied,
		text: "the provider does not let this account use the app",
		hint: `with Google set the project to "In production", or add the account to its test users (Google Auth Platform, Audience)`},
	{codes: []string{"access_denied", "authorization_declined"}, kind: fault.Denied,
		text: "access to the mail was denied in the browser",
		hint: `sign in again and allow it; if Google says "has not completed the verification process", add the account to the project's test users or set it to "In production"`},
	{codes: []string{"expired_token", "code_expired"}, kind: fault.Auth,
		text: "the code was not entered in time", hint: "begin the sign-in again"},
	{codes: []string{"bad_verification_code"}, kind: fault.Protocol,
		text: "the provider does not know the code of the device", hint: "begin the sign-in again"},
	{codes: []string{"unsupported_grant_type"}, at: []stage{deviceWaiting}, kind: fault.Config,
		text: "the provider does not issue tokens by device code to this client", hint: "sign in with a browser"},
	{codes: []string{"server_error", "temporarily_unavailable", "rate_limit_exceeded", "quota_exceeded"}, kind: fault.Temporary,
		text: "the provider cannot answer now", hint: "popbridge tries again by itself"},
}

// fault says what an answer means.
func (e *Error) fault(at stage, host string) error {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return fault.Wrap(e, fault.Temporary, host+" is busy", "popbridge tries again by itself")
	}
	if e.Status >= 500 {
		return fault.Wrap(e, fault.Temporary, host+" is out of order", "popbridge tries again by itself")
	}
	for _, a := range causes {
		if a.fits(e, at) {
			return fault.Wrap(e, a.kind, a.text, a.hint)
		}
	}
	switch {
	case e.Code == "" && e.Status >= 300 && e.Status < 400:
		return fault.Wrap(e, fault.Config, host+" wants the request elsewhere, which is not followed", checkEndpoint)
	case e.Code == "" && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusGone):
		return fault.Wrap(e, fault.Config, host+" has nothing that issues tokens at this URL", checkEndpoint)
	case e.Code == "" && e.Status == http.StatusProxyAuthRequired:
		return fault.Wrap(e, fault.Temporary, "the web proxy wants a login", "give name and password in HTTPS_PROXY")
	}
	return fault.Wrap(e, fault.Protocol, "the provider refused the sign-in", "search for the code that it gave; "+checkEndpoint)
}

// InvalidGrant reports whether a refresh token is refused for good, so that
// only a person can go on. Ask a second time before believing it: a refresh
// whose answer was lost has used up the token that is sent next. A refusal by
// an organisation's policy is none: that token may work from another network.
func InvalidGrant(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status >= 500 || slices.Contains(policy, e.AADSTS) {
		return false
	}
	return slices.Contains([]string{"invalid_grant", "interaction_required", "login_required", "consent_required"}, e.Code)
}

// unreachable says what a failed request means. The cause has the URL, which
// has nothing secret: forms go in the body.
func unreachable(err error, host string) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.Temporary, "the request to "+host+" was given up", "")
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &certificate):
		return fault.Wrap(err, fault.Temporary, "the certificate of "+host+" is not valid for it",
			"check the clock of this machine, and whether this network asks for a login or looks into encrypted connections")
	}
	return fault.Wrap(err, fault.Temporary, host+" cannot be reached", "check the network; popbridge tries again by itself")
}
