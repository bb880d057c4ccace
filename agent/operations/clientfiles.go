package operations

// ClientFiles is about what sets a mail client up.
type ClientFiles interface{}
