// Package smtp is the client side of message submission and nothing else: it knows
// no queue, no schedule and no policy.
//
// A session is Dial, Login, Send for each message, Quit. It follows RFC 5321 with
// RFC 6409 (submission), 3207 (STARTTLS), 4954 (AUTH), 1870 (SIZE), 6152
// (8BITMIME), 6531 (SMTPUTF8), 2920 (PIPELINING), 2034 (ENHANCEDSTATUSCODES) and
// 8314 (implicit TLS), and tolerates what servers do instead.
//
// Invariants:
//
//   - Whether a server has a message is known, or known to be unknown: Outcome says
//     how far a transaction came, whatever ended it. Phases up to Data mean that the
//     final dot did not leave, so that the message can be sent again. AfterDot means
//     that the server may have taken it (RFC 1047).
//   - The final dot leaves only behind the last byte of the message. A message that
//     cannot be read to its end is never ended.
//   - A reply counts when it is complete and due. What comes before the final dot is
//     never taken for the answer to it.
//   - A secret goes out over TLS, or over a connection that was configured as Plain.
//     It is never logged and never part of an error text.
//   - Once credentials were refused, no further mechanism is tried: each try may
//     count towards locking the account.
//   - Nothing that was received before a TLS handshake is believed after it.
//   - Every read and write has a deadline, and ending the context of a call closes
//     the connection at once. There is no deadline for a message as a whole.
//   - Memory is bounded by one buffer and one reply (64 KiB each).
//
// The Client owns its connection and starts no goroutine. It must not be used by two
// goroutines at a time, except for Close, which may come from anywhere. After an
// error of the connection, and after a reply 421, every further call returns an
// error; after any other reply (errors.As to *ReplyError) the session goes on.
package smtp
