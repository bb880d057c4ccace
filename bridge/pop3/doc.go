// Package pop3 is the client side of POP3 and nothing else: it knows no
// schedule, no store and no policy.
//
// A session is Dial, Login, Stat/List/UIDL, Retr, Dele, Quit. It follows RFC
// 1939 with RFC 2449 (CAPA, response codes), 2595 (STLS), 5034 (AUTH), 3206
// (AUTH and SYS codes), 6856 (UTF8) and 8314 (implicit TLS), and tolerates
// what servers do instead.
//
// Invariants:
//
//   - Message bytes are sacred: Retr hands over what the server sent with the
//     dots unstuffed, and changes nothing else. A message ends at CRLF "." CRLF
//     only; whatever ends earlier is an error and can't be taken for a message.
//   - A secret goes out over TLS, or over a connection that was configured as
//     Plain. It is never logged and never part of an error text.
//   - Once credentials were refused, no further mechanism is tried: each try
//     may count towards locking the account.
//   - Nothing that was received before a TLS handshake is believed after it.
//   - Every read and write has a deadline, and ending the context of a call
//     closes the connection at once.
//   - Memory is bounded by one line (64 KiB) while listing, by one buffer while
//     retrieving.
//
// The Client owns its connection and starts no goroutine. It must not be used
// by two goroutines at a time, except for Close, which may come from anywhere.
// After an error of the connection every further call returns that error;
// after an -ERR (errors.As to *ReplyError) the session goes on.
package pop3
