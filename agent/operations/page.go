package operations

// Page is what the web page asks for besides Operations: what a command does in its own
// process, with the rights of who runs it, the page has the agent do.
type Page interface {
	Editing
	ClientFiles
	Records
}

var _ Page = (*Local)(nil)
