package oauth

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/popbridge/popbridge/internal/fault"
)

// signInFor is how long a person has for the browser.
const signInFor = 10 * time.Minute

// Login is one sign-in with a browser. Close it, or Wait for its end.
type Login struct {
	client   *Client
	url      string
	redirect string
	state    string
	verifier string
	ends     time.Time // by the clock of time.Now
	listener *listener // nil where only pasting works

	life   context.Context // ends with Close
	end    context.CancelFunc
	answer chan answer // of capacity one

	mu       sync.Mutex // held also while a pasted code is shown to the provider
	finished bool
	refused  int // pasted codes
}

// maxRefused is how many pasted codes the provider may refuse before the sign-in ends.
const maxRefused = 5

// answer is what the browser came back with, or the token that its code was good for.
type answer struct {
	code  string
	token Token
	err   error
}

// Begin prepares a sign-in. It listens for the browser before it returns, on
// 127.0.0.1 and ::1 alike for localhost, because a browser takes either.
// loginHint is the name of the account for the page of the provider, or "".
func (c *Client) Begin(ctx context.Context, loginHint string) (*Login, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	l := &Login{client: c, state: rand.Text(), verifier: oauth2.GenerateVerifier(),
		ends: time.Now().Add(signInFor), answer: make(chan answer, 1)}
	var err error
	if l.redirect, l.listener, err = listen(ctx, c.Redirect); err != nil {
		return nil, err
	}
	l.life, l.end = context.WithCancel(context.WithoutCancel(ctx))
	l.url = l.authorizeURL(loginHint)
	if l.listener != nil {
		l.listener.serve(l)
	}
	return l, nil
}

func (l *Login) authorizeURL(loginHint string) string {
	c := l.client
	var options []oauth2.AuthCodeOption
	for name, values := range c.Authorizing {
		for _, v := range values {
			options = append(options, oauth2.SetAuthURLParam(name, v))
		}
	}
	if c.PKCE {
		options = append(options, oauth2.S256ChallengeOption(l.verifier))
	}
	if c.Resource != "" {
		options = append(options, oauth2.SetAuthURLParam("resource", c.Resource))
	}
	if loginHint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", loginHint))
	}
	return c.config(l.redirect).AuthCodeURL(l.state, options...)
}

// URL is what the browser has to open. Who sees it cannot have the tokens.
func (l *Login) URL() string { return l.url }

// Ends is when the sign-in ends at the latest.
func (l *Login) Ends() time.Time { return l.ends }

// PasteOnly reports whether popbridge cannot see where the browser ends,
// because the redirect URI does not lead to this machine.
func (l *Login) PasteOnly() bool { return l.listener == nil }

// Wait returns the tokens, or why there are none: the person denied, 10
// minutes are over, the provider refused. The sign-in is closed then.
func (l *Login) Wait(ctx context.Context) (Token, error) {
	defer l.Close()
	ctx, cancel := context.WithDeadlineCause(ctx, l.ends, errTooLate)
	defer cancel()
	select {
	case a := <-l.answer:
		if a.err != nil || a.code == "" {
			return a.token, a.err
		}
		return l.client.exchange(ctx, a.code, l.redirect, l.verifier)
	case <-ctx.Done():
		return Token{}, ended(ctx)
	}
}

// Close ends the sign-in; a page that is on its way to the browser arrives.
func (l *Login) Close() {
	l.end()
	l.finish(answer{err: errClosed})
	if l.listener != nil {
		l.listener.close()
	}
}

var (
	errTooLate = fault.New(fault.Auth, "nobody signed in within 10 minutes", "begin the sign-in again")
	errClosed  = fault.New(fault.Auth, "the sign-in was cancelled", "begin the sign-in again")
)

// ended says why a wait was given up.
func ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if fault.Is(cause, fault.Auth) {
		return cause
	}
	return fault.Wrap(cause, fault.Temporary, "the sign-in was interrupted", "begin the sign-in again")
}

// finish hands over an answer, unless there is one.
func (l *Login) finish(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finishLocked(a)
}

func (l *Login) finishLocked(a answer) {
	if !l.finished {
		l.finished = true
		l.answer <- a
	}
}

// Paste takes what a person copied out of the browser: the last address, or
// only the code, which is shown to the provider. An error means that it was
// something else, or that the provider does not know the code, and that the
// sign-in goes on, for some such codes at least; what else the provider has to
// say is the result of Wait.
func (l *Login) Paste(ctx context.Context, final string) error {
	q, err := parsePasted(final)
	if err != nil {
		return err
	}
	if !q.Has("state") && q.Has("code") && len(q) == 1 {
		// Only a code. There is no state to check, and none is needed: the person
		// brought it, and PKCE binds it to this sign-in.
		return l.pasted(ctx, answer{code: q.Get("code")})
	}
	if !q.Has("state") && q.Has("error") { // anybody's: told, but no end
		return l.judge(q).err
	}
	if q.Get("state") != l.state {
		return fault.New(fault.Config, "this address belongs to another sign-in",
			"paste the last address of the browser window that was opened for this one")
	}
	return l.pasted(ctx, l.judge(q))
}

// pasted finishes the sign-in with an answer. One whose code the provider does not know is
// none: any word may be taken for a code, and the end of an address is soon missed. The
// browser may still come with a better one.
func (l *Login) pasted(ctx context.Context, a answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finished {
		return fault.New(fault.Conflict, "this sign-in has ended already", "begin another one if it did not work")
	}
	if a.err == nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(l.life, cancel)()
		a.token, a.err = l.client.exchange(ctx, a.code, l.redirect, l.verifier)
		a.code = ""
		if fault.Is(a.err, fault.Auth) && l.refused < maxRefused-1 {
			l.refused++
			return fault.Wrap(a.err, fault.Config, "this is not the whole address that this sign-in ended with", pasteWhole)
		}
		if fault.Is(a.err, fault.Temporary) {
			return fault.Wrap(a.err, fault.Temporary, "this could not be shown to the provider", "paste it once more")
		}
	}
	l.finishLocked(a)
	return nil
}

const pasteWhole = "allow the access in the browser, then copy the whole address out of its address bar, even if the page cannot be shown, or the code that the page shows"

// parsePasted reads a redirect URI with its parameters, the parameters alone,
// or a code. Terminals and mail break long lines: white space in an address goes.
func parsePasted(s string) (url.Values, error) {
	notIt := fault.New(fault.Config, "this is not the address that a sign-in ends with", pasteWhole)
	words := strings.Fields(s)
	s = strings.Trim(strings.Join(words, ""), `"'<>`)
	if len(s) > maxRedirect || s == "" {
		return nil, notIt
	}
	query, isQuery := s, strings.Contains(s, "code=") || strings.Contains(s, "error=")
	if _, after, found := strings.Cut(s, "?"); found {
		query, isQuery = after, true
	}
	if !isQuery {
		code, err := url.PathUnescape(s)
		if err != nil || len(words) > 1 || !isToken(code) || strings.Contains(code, "://") {
			return nil, notIt
		}
		return url.Values{"code": {code}}, nil
	}
	query, _, _ = strings.Cut(query, "#")
	q, err := url.ParseQuery(query)
	if err != nil || !isToken(q.Get("code")) && q.Get("error") == "" {
		return nil, notIt
	}
	return q, nil
}

// judge reads an answer that has the right state.
func (l *Login) judge(q url.Values) answer {
	iss := q.Get("iss")
	want, anyTenant := l.client.Issuer, strings.Contains(l.client.Issuer, "{tenantid}")
	if want != "" && !issuedBy(iss, want) && !(iss == "" && (anyTenant || q.Has("error"))) {
		// RFC 9207 section 2.4.
		return answer{err: fault.New(fault.Protocol, "the sign-in was answered by "+fault.Quote(iss)+", not by "+fault.Quote(want),
			"begin the sign-in again; if this happens again, the provider's URLs in this [oauth] section do not belong together")}
	}
	if q.Has("error") {
		mine := url.Values{"state": {l.state}, "code": q["code"]}
		e := newError(0, hide(q.Get("error"), mine), hide(q.Get("error_description"), mine))
		return answer{err: e.fault(authorizing, "the provider")}
	}
	code := q.Get("code")
	if !isToken(code) {
		return answer{err: fault.New(fault.Protocol, "the provider's answer has no usable code", "begin the sign-in again")}
	}
	return answer{code: code}
}

// issuedBy compares issuers; {tenantid} stands for one segment.
func issuedBy(iss, want string) bool {
	before, after, found := strings.Cut(want, "{tenantid}")
	if !found {
		return iss == want
	}
	rest, ok := strings.CutPrefix(iss, before)
	tenant, ok2 := strings.CutSuffix(rest, after)
	return ok && ok2 && tenant != "" && !strings.Contains(tenant, "/")
}
