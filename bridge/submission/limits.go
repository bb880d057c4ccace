package submission

import "time"

// What a client may take. All of them are far above what mail programs ask for; what
// goes beyond is refused, with a text that names the limit.
const (
	maxPerDevice = 32 // connections; how many there may be in all is in internal/serving

	// stallTimeout is how long a client that has logged in may send nothing, between
	// commands and within a message (RFC 5321 section 4.5.3.2.7).
	stallTimeout = 5 * time.Minute

	// maxLine is a command with its line end, and a response of SASL (RFC 4954 section
	// 4: 12,288 octets); maxSkip is what is read of a longer one before the connection
	// is closed.
	maxLine = 16 << 10
	maxSkip = 1 << 20
	// maxBad is how many commands may be wrong in their form.
	maxBad = 20

	maxRecipients = 1000 // RFC 5321 section 4.5.3.1.8: at least 100
	maxAddress    = 512  // octets; RFC 5321 section 4.5.3.1.3 has 256

	// maxMessage bounds a message in bytes whatever its account allows, and maxHeader its
	// header. maxDrain is what is read of one that was refused until its end.
	maxMessage = 200 << 20
	maxHeader  = 1 << 20
	maxDrain   = 512 << 20
)
