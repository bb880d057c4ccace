// Package oauth is the client's side of OAuth 2.0 for mail: a person signs in
// with a browser (RFC 6749, 8252, 7636, 9207) or with a code on another device
// (RFC 8628), and what comes of it is kept fresh with a refresh token.
//
// It speaks the protocol and nothing else. It keeps no files, reads no config
// and logs nothing. Codes, verifiers, secrets and tokens are in no text of an
// error, whatever a provider answers. Client ids are the user's own: the
// package has endpoints and scopes, and no id of anybody.
//
// golang.org/x/oauth2 makes the authorisation URL, PKCE and the request that
// redeems a code. The rest is here, because the library knows no expiry that is
// missing or has a fraction, offers no hold on a new refresh token before it is
// used, and gives up on a device code when the network fails once.
//
// Errors are faults. Temporary ones (network, provider busy or out of order)
// never mean that a person has to sign in; see [InvalidGrant].
package oauth
