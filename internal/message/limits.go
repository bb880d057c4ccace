package message

// Limits of what is kept of one message, so that memory does not depend on what
// a sender wrote. They are far above what ordinary mail has.
const (
	maxHeader    = 1 << 20 // bytes of one header that are looked at
	maxHeaders   = 4 << 20 // bytes of all headers of a message that are looked at
	maxKept      = 1 << 20 // bytes of text in a Summary
	maxLines     = 4 << 10 // bytes of a Header
	maxDepth     = 128     // levels of parts; Dovecot answers 100
	maxParts     = 10000   // parts, as Dovecot
	maxAddresses = 20000   // addresses in all envelopes of a message
	maxParams    = 128     // parameters of one field and octets of it that are none, as Dovecot
	maxBoundary  = 80      // bytes of a boundary that are compared, as Dovecot
)
