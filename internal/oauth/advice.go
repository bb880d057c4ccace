package oauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"

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

// again is what comes of a passing failure: only what goes on in the background is tried
// again by itself.
func (at stage) again() string {
	if at == refreshing || at == deviceWaiting {
		return "popbridge tries again by itself"
	}
	return "sign in once more"
}

const checkEndpoint = "check token_url and the provider of this [oauth] section"

// fault says what an answer means.
func (e *Error) fault(at stage, host string) error {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return fault.Wrap(e, fault.Temporary, host+" is busy", at.again())
	}
	if e.Status >= 500 {
		return fault.Wrap(e, fault.Temporary, host+" is out of order", at.again())
	}
	for _, a := range slices.Concat(microsoft, causes) {
		if a.fits(e, at) {
			return fault.Wrap(e, a.kind, a.text, cmp.Or(a.hint, at.again()))
		}
	}
	switch {
	case e.Code == "" && e.Status >= 300 && e.Status < 400:
		return fault.Wrap(e, fault.Config, host+" wants the request elsewhere, which is not followed", checkEndpoint)
	case e.Code == "" && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusGone):
		return fault.Wrap(e, fault.Config, host+" has nothing that issues tokens at this URL", checkEndpoint)
	}
	return fault.Wrap(e, fault.Protocol, "the provider refused the sign-in", "search for the code that it gave; "+checkEndpoint)
}

// personNeeded are the refusals of a refresh token: of RFC 6749, Microsoft, Yahoo.
var personNeeded = []string{"invalid_grant", "interaction_required", "login_required", "consent_required",
	"invalid_refresh_token", "token_expired", "account_not_authorized"}

// InvalidGrant reports whether a refresh token is refused for good, so that
// only a person can go on. Ask a second time before believing it: a refresh
// whose answer was lost has used up the token that is sent next. A refusal by
// an organisation's policy is none: that token may work from another network.
func InvalidGrant(err error) bool {
	if errors.Is(err, errNoRefresh) {
		return true
	}
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains(personNeeded, e.Code) && fault.Is(e.fault(refreshing, ""), fault.Auth)
}

// unreachable says what a failed request means. The cause has the URL, which
// has nothing secret: forms go in the body.
func unreachable(err error, at stage, host string) error {
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
	return fault.Wrap(err, fault.Temporary, host+" cannot be reached", "check the network; "+at.again())
}
