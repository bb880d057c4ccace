// Package mailtext is the text of a message as a person reads it, and what a
// search finds in it: header fields and text parts, decoded, HTML without its
// tags, compared whatever their case (docs/decisions/0008). internal/message says
// where the parts are and decodes them.
//
//	search.go, html.go   the texts of a message, one after the other, as streams
//	match.go             folding, and whether a text contains a needle
//	terms.go             what an index of the text holds, and what it must hold for a needle
//	preview.go           the beginning of the text (RFC 8970)
//
// What always holds: whatever text a Matcher finds a needle in has, for each of the
// Pieces of the needle, a term with that piece in it. Memory does not depend on the
// size of a message.
package mailtext
