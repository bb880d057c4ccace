// Package signin keeps accounts signed in whose provider takes tokens (OAuth 2) in place
// of a password: the tokens of each identity, renewed in time, and the sign-ins that a
// person does.
//
// An identity is a table [oauth.NAME] of the config and a user name; accounts that have
// both alike share it. Its tokens are in one file, DATA/tokens/ID.json, for this user
// alone, and in no backup.
//
// What always holds:
//
//   - One exchange with the provider runs at a time for an identity.
//   - A refresh token that came is durable before the access token beside it is used. The
//     one before it is kept until the new one has worked.
//   - A file is never given up because of what a provider, a network or a mail server
//     said. An identity has to be signed in again when the provider has refused its
//     refresh token twice (invalid_grant), some time apart; and is tried even then, rarely.
//   - Tokens go to the token endpoint that they came from, with the client that they were
//     issued to; no text, log or answer has one.
package signin
