// Package scripted is a mail server that plays a script, for tests: it says what a
// transcript tells it to and checks that the client does, too.
//
// A transcript has one step per line. Empty lines and lines that begin with
// "#" don't count.
//
//	S: text      send the line "text" CRLF
//	S" text      send exactly the bytes of the text, with Go's escapes
//	C: text      the client must send this line
//	C~ regexp    the client must send a line that matches as a whole
//	C*           the client must send some line
//	C.           the client must send lines up to one with a single dot
//	@packet      what was sent so far leaves now, as a packet of its own
//	@split N     from here on packets of N bytes (0: as large as possible)
//	@tls         handshake as the server (WithTLS), at the start: implicit TLS
//	@stall       answer no more and wait until the client goes
//	@close       close the connection, after which the script goes on only at
//	             the next @connection
//	@cut         reset the connection
//	@wait NAME   wait for Server.Release(NAME)
//	@pause D     answer no more for the duration D; for virtual time
//	@connection  what follows is for the next connection
//
// What stands between two steps that wait for the client is sent as one packet
// unless @packet or @split say otherwise. At the end of a script the
// connection is closed once the client has closed its side.
package scripted
