// Package oauthtest is an authorisation server for tests: a real one over HTTP,
// with the page on which a person allows or denies (RFC 6749), PKCE (RFC 7636),
// iss (RFC 9207), device codes and their page (RFC 8628), revocation (RFC 7009),
// introspection (RFC 7662) for mail servers that check tokens, and what goes
// wrong with real ones: [Behaviour].
//
//	s := oauthtest.New(t)
//	client := s.Client()                                // an *oauth.Client of it
//	login, err := client.Begin(ctx, "ann@example.com")
//	err = s.Browse(login.URL(), "ann@example.com")      // a browser that presses Allow
//	token, err := login.Wait(ctx)
//	user, ok := s.Valid(token.Access)
package oauthtest
