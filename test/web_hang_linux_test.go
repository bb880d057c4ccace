package test

import (
	"syscall"
	"testing"
)

// An agent that hangs, or the way to it, does so without closing a connection: the page
// notices that its stream brings nothing. It waits 30 s for that, and here 5.
func TestWebSilence(t *testing.T) {
	t.Parallel()
	p, _, b, origin := withPage(t, 1)
	b.shows("The account is up to date")
	eval[bool](b, `
		const later = setTimeout;
		window.setTimeout = (f, ms, ...more) => later(f, ms === 30000 ? 5000 : ms, ...more);
		const hidden = value => { Object.defineProperty(document, "hidden", {value, configurable: true}); document.dispatchEvent(new Event("visibilitychange")); };
		hidden(true); later(() => hidden(false), 0); return true`)
	must(t, p.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) })
	b.shows("popbridge has not answered since")
	b.shows("popbridge does not answer.") // and no more that all is well
	must(t, p.Signal(syscall.SIGCONT))
	b.gone("popbridge has not answered since")
	b.shows("The account is up to date")
	b.quiet(origin)
}
