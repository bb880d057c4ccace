package localimap

// What a client may take. All of them are far above what mail programs ask for
// (docs/client-quirks.md); a command that goes beyond is refused with NO [LIMIT]
// or BAD, and a text that names the limit.
const (
	maxPerDevice = 64 // connections; how many there may be in all is in internal/serving

	// maxCommand bounds a command without its literals, maxString one of these,
	// and maxLiterals all of them, the message of an APPEND aside, which goes to
	// the disk.
	maxCommand      = 64 << 10
	maxString       = 64 << 10
	maxLiterals     = 1 << 20
	maxAnonCommand  = 8 << 10 // before login
	maxAnonLiterals = 8 << 10
	// maxAhead bounds what is pipelined behind a command that takes long.
	maxAhead = 256 << 10
	// maxSkip bounds what is read before login of a refused literal that is on its
	// way; later it is appendLimit.
	maxSkip = 1 << 20

	// Commands of a client that has logged in.
	maxSearchKeys    = 500
	maxQueryDepth    = 50   // of NOT and OR
	maxNarrowed      = 32   // keys for which one SEARCH asks the text index, which nothing can interrupt
	maxCriteria      = 50   // words of one SORT
	maxSections      = 200  // of one FETCH
	maxHeaderNames   = 500  // of one FETCH, in all its sections
	maxPatterns      = 32   // of one LIST
	maxPatternOctets = 2000 // of all of them; no mailbox name is that long
	maxKeyword       = 100  // octets of a keyword
	maxAppends       = 500  // messages of one APPEND
	maxOpenAppends   = 32   // of these, whose files are open
	maxSortText      = 256  // octets of a text that count in SORT
	maxParked        = 2    // mailboxes selected before whose changes are still followed
	maxProgram       = 60   // characters of the name of a client (ID)
	maxAlert         = 300  // characters of an alert: mail programs show it in a small window
	maxNotified      = 100  // event groups and names of mailboxes of one NOTIFY

	// appendLimit is the longest message a client may store.
	appendLimit = 200 << 20
)
