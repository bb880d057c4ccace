package operations

// Records is about the log, the settings and the support bundle.
type Records interface{}
