// Package sasl has the client's side of the login mechanisms that mail servers
// offer (RFC 4422). It sends and logs nothing: what it returns are secrets.
package sasl
