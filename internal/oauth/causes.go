package oauth

import (
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

const (
	signInAgain = "sign in again (popbridge account signin)"
	production  = `set the Google project to "In production" (Google Auth Platform, Audience)`
)

// advice is what one cause means. The first that fits counts.
type advice struct {
	aadsts []string // Microsoft's codes, without prefix
	codes  []string // error
	words  []string // with codes: one of these is in the description, in lower case
	at     []stage  // none: any
	kind   fault.Kind
	text   string
	hint   string // empty: it is tried again
}

func (a advice) fits(e *Error, at stage) bool {
	if len(a.at) > 0 && !slices.Contains(a.at, at) {
		return false
	}
	if a.aadsts != nil {
		return slices.Contains(a.aadsts, strings.TrimPrefix(e.AADSTS, aadstsPrefix))
	}
	described := strings.ToLower(e.Description)
	return slices.Contains(a.codes, e.Code) &&
		(a.words == nil || slices.ContainsFunc(a.words, func(w string) bool { return strings.Contains(described, w) }))
}

// policy are Microsoft's refusals by conditional access: by place, device or way of
// signing in. They can end without a new sign-in, with another network for instance.
var policy = []string{"50005", "50097", "50131", "50155", "50158", "53000", "53001", "53002", "53003", "530032"}

// microsoft are the codes of
// learn.microsoft.com/entra/identity-platform/reference-error-codes that people meet.
// error is too coarse there: invalid_grant is all from a changed password to a policy.
var microsoft = []advice{
	{aadsts: []string{"50033", "50087", "50196", "70012", "90006", "90012", "90024", "90033", "90055"}, kind: fault.Temporary,
		text: "Microsoft cannot answer now"},
	{aadsts: []string{"50011", "70004", "500113"}, kind: fault.Config,
		text: "the redirect URI is not registered with Microsoft",
		hint: `add "http://localhost" to the app registration (Authentication, "Mobile and desktop applications"), or set redirect to what is registered there`},
	{aadsts: []string{"700016", "70001", "7000112"}, kind: fault.Config,
		text: "Microsoft does not know this client_id in this tenant",
		hint: "check client_id, and set tenant to that of the app registration unless it is for accounts of any directory"},
	{aadsts: []string{"50194", "90124", "90130"}, kind: fault.Config,
		text: "the app registration is not for all kinds of accounts",
		hint: "set tenant to the id or domain of the organisation, or permit accounts of any directory and personal ones in the app registration"},
	{aadsts: []string{"90002", "90019", "50059", "50128"}, kind: fault.Config,
		text: "Microsoft does not know this tenant", hint: "check tenant: the id or a domain of the organisation, common, consumers or organizations"},
	{aadsts: []string{"50020", "50034", "51004", "90072", "9001023"}, kind: fault.Config,
		text: "the account that was chosen is not one of this tenant",
		hint: `choose the account of the mailbox; tenant "consumers" is for personal accounts, "organizations" or that of the organisation for those of work and school`},
	{aadsts: []string{"7000218"}, kind: fault.Config,
		text: "Microsoft takes the app for one that has a secret",
		hint: `set "Allow public client flows" to yes in the app registration, and register the redirect URI for "Mobile and desktop applications", not for "Web"`},
	{aadsts: []string{"70002", "7000215", "7000222"}, at: []stage{exchanging, beginDevice, deviceWaiting}, kind: fault.Config,
		text: "the client secret is wrong or has expired", hint: wrongSecret},
	{aadsts: []string{"7000215", "7000222"}, kind: fault.Config,
		text: "the client secret is wrong or has expired", hint: wrongSecret},
	{aadsts: []string{"700025"}, kind: fault.Config,
		text: "the app is a public client and may not show a secret", hint: "remove client_secret_file"},
	{aadsts: []string{"9002326", "9002327"}, kind: fault.Config,
		text: `the redirect URI is registered for a "Single-page application"`, hint: `register it for "Mobile and desktop applications"`},
	{aadsts: []string{"65005", "70011", "500011", "650053", "700022"}, kind: fault.Config,
		text: "Microsoft does not give the app these scopes", hint: "check scopes; those built in are for Outlook.com and Exchange Online and cannot be mixed with others"},
	{aadsts: []string{"50001", "650052"}, kind: fault.Config,
		text: "the organisation does not have the service that the scopes are for", hint: "check tenant and scopes"},
	{aadsts: []string{"65004"}, kind: fault.Denied, text: "access to the mail was denied in the browser", hint: "sign in again and accept"},
	{aadsts: []string{"65001", "90008", "90094", "90099"}, kind: fault.Denied,
		text: "access to the mail was not granted to the app",
		hint: "sign in again and accept; where the page asks for approval, an administrator of the organisation has to grant POP.AccessAsUser.All and SMTP.Send to the app"},
	{aadsts: policy, kind: fault.Denied,
		text: "a policy of the organisation refuses this device, network or way of signing in",
		hint: "the sign-in is kept; try from the usual network (without a VPN), sign in with the browser rather than a device code, or ask the administrator"},
	{aadsts: []string{"50105"}, kind: fault.Denied,
		text: "the organisation permits this app to chosen people only", hint: "ask the administrator to assign the app to you"},
	{aadsts: []string{"50053", "50057"}, kind: fault.Auth,
		text: "the account is locked or disabled", hint: "ask Microsoft or the administrator"},
	{aadsts: []string{"50072", "50074", "50076", "50079", "53004"}, kind: fault.Auth,
		text: "Microsoft asks for a second factor", hint: signInAgain + ", where the browser asks for it"},
	{aadsts: []string{"50055", "50132", "50133", "50144", "50173"}, kind: fault.Auth,
		text: "the password has changed or expired since the sign-in", hint: signInAgain},
	{aadsts: []string{"700082", "700084", "70008"}, at: []stage{refreshing}, kind: fault.Auth,
		text: "the sign-in is too old, or was not used for too long",
		hint: signInAgain + `; if this happens every day, register the redirect URI for "Mobile and desktop applications" instead of "Single-page application"`},
	{aadsts: []string{"70000"}, at: []stage{refreshing}, kind: fault.Auth,
		text: "Microsoft no longer accepts the sign-in", hint: signInAgain},
}

const wrongSecret = "write the value of the secret, not its id, into client_secret_file; a public client needs none"

// causes are from RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, and
// developers.google.com/identity/protocols/oauth2/native-app, "Errors", and
// developer.yahoo.com/oauth2/guide/errors.
var causes = []advice{
	{codes: []string{"server_error", "temporarily_unavailable", "rate_limit_exceeded", "quota_exceeded"}, kind: fault.Temporary,
		text: "the provider cannot answer now"},
	{codes: []string{"redirect_uri_mismatch", "invalid_redirect_uri", "unsupported_redirect_uri", "bad_redirect_uri", "invalid_callback", "invalid_callback_url"}, kind: fault.Config,
		text: "the redirect URI is not registered for this client",
		hint: `with Google, register a client of the type "Desktop app"; elsewhere set redirect to what is registered`},
	{codes: []string{"invalid_request", "invalid_grant"}, words: []string{"redirect_uri", "redirect uri"}, at: []stage{authorizing, exchanging}, kind: fault.Config,
		text: "the provider does not accept the redirect URI", hint: "set redirect to exactly what is registered for this client"},
	{codes: []string{"org_internal"}, kind: fault.Config,
		text: "the Google project is for members of its organisation only",
		hint: `set its user type to "External" (Google Auth Platform, Audience), or choose an account of the organisation`},
	{codes: []string{"admin_policy_enforced"}, kind: fault.Denied,
		text: "the administrator of the Google Workspace does not permit this app", hint: "ask the administrator to trust the client_id for Gmail"},
	{codes: []string{"disallowed_useragent"}, kind: fault.Config,
		text: "Google refuses browsers inside of other programs", hint: "open the URL in an ordinary browser"},
	{codes: []string{"deleted_client"}, kind: fault.Config, text: "the client was deleted", hint: "register a new one and set client_id"},
	{codes: []string{"invalid_client", "invalid_request", "unauthorized_client"}, words: []string{"secret"}, kind: fault.Config,
		text: "the client secret is missing or wrong",
		hint: "write the secret that belongs to client_id into client_secret_file; Google gives one to desktop apps as well"},
	{codes: []string{"invalid_client", "invalid_client_secret", "invalid_consumer_key", "deleted_consumer_key", "disabled_consumer_key"}, kind: fault.Config,
		text: "the provider does not know this client, or its secret is wrong", hint: "check client_id and client_secret_file"},
	{codes: []string{"unauthorized_client"}, kind: fault.Config,
		text: "this client may not do that",
		hint: `check client_id and its type (Google "Desktop app", Microsoft "Mobile and desktop applications"); after another client_id was set, ` + signInAgain},
	{codes: []string{"invalid_scope", "invalid_resource", "invalid_target"}, kind: fault.Config,
		text: "the provider does not give this client these scopes", hint: "check scopes, and which ones the client is registered for"},
	{codes: []string{"invalid_grant"}, words: []string{"code_verifier", "code verifier"}, at: []stage{exchanging}, kind: fault.Auth,
		text: "the code belongs to another sign-in", hint: "sign in once more, and paste nothing but the last address of that very sign-in"},
	{codes: []string{"invalid_grant"}, at: []stage{exchanging}, kind: fault.Auth,
		text: "the code of the sign-in has expired, was used before or is not whole", hint: "sign in once more; a code lives for some minutes"},
	{codes: []string{"invalid_grant"}, words: []string{"expired or revoked", "bad request"}, at: []stage{refreshing}, kind: fault.Auth, // Google's texts
		text: "the provider no longer accepts the sign-in",
		hint: signInAgain + "; if Google ends it every 7 days, the project is in \"Testing\": " + production},
	{codes: []string{"invalid_grant", "invalid_refresh_token", "token_expired", "account_not_authorized"}, at: []stage{refreshing}, kind: fault.Auth,
		text: "the provider no longer accepts the sign-in", hint: signInAgain},
	{codes: []string{"invalid_grant", "bad_verification_code"}, kind: fault.Auth,
		text: "the provider does not know the code", hint: "begin the sign-in again"},
	{codes: []string{"interaction_required", "login_required", "consent_required", "account_selection_required"}, kind: fault.Auth,
		text: "the provider has to ask something", hint: signInAgain},
	{codes: []string{"access_denied", "authorization_declined"}, kind: fault.Denied,
		text: "access to the mail was denied in the browser",
		hint: "sign in again and allow it; if Google says that the app is not verified, add the account to its test users, or better " + production},
	{codes: []string{"expired_token", "code_expired"}, kind: fault.Auth, text: "the code was not entered in time", hint: "begin the sign-in again"},
	{codes: []string{"unsupported_grant_type"}, at: []stage{deviceWaiting}, kind: fault.Config,
		text: "the provider gives this client no tokens by device code", hint: "sign in with a browser"},
}
