package oauth

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

const (
	usualLifetime = time.Hour            // of a token whose answer says nothing
	longestLived  = 366 * 24 * time.Hour // what is said beyond is not believed
)

// seconds is a number of seconds as providers write it: 3599, 3599.5, "3599".
// What is none of these, and what is not positive, is 0.
type seconds time.Duration

// UnmarshalJSON never fails: a strange lifetime is no reason to lose a token.
func (s *seconds) UnmarshalJSON(raw []byte) error {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	switch {
	case err != nil && !math.IsInf(n, 1), math.IsNaN(n), n <= 0:
		*s = 0
	case n > longestLived.Seconds():
		*s = seconds(longestLived)
	default:
		*s = seconds(n * float64(time.Second))
	}
	return nil
}

// text is a string, or empty where an answer has something else in its place.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		*t = text(s)
	}
	return nil
}

// parseToken reads an answer of RFC 6749 section 5.1.
func (c *Client) parseToken(body []byte) (Token, error) {
	var answer struct {
		Access  string  `json:"access_token"`
		Refresh text    `json:"refresh_token"`
		Type    text    `json:"token_type"`
		Expires seconds `json:"expires_in"`
		Scope   text    `json:"scope"`
		Ends    seconds `json:"refresh_token_expires_in"` // Google's
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		// The cause may quote the answer.
		return Token{}, fault.New(fault.Protocol, "the provider's answer is not JSON as of RFC 6749", checkEndpoint)
	}
	if !isToken(answer.Access) || answer.Refresh != "" && !isToken(string(answer.Refresh)) {
		return Token{}, fault.New(fault.Protocol, "the provider's answer has no usable token", checkEndpoint)
	}
	if answer.Type != "" && !strings.EqualFold(string(answer.Type), "bearer") {
		return Token{}, fault.New(fault.Protocol, "the provider issued a token of type "+fault.Quote(string(answer.Type))+", mail servers take bearer tokens", "")
	}
	if answer.Expires == 0 {
		answer.Expires = seconds(usualLifetime)
	}
	token := Token{Access: answer.Access, Refresh: string(answer.Refresh),
		Expires: c.now().Add(time.Duration(answer.Expires)), Scopes: strings.Fields(string(answer.Scope))}
	if len(token.Scopes) == 0 {
		token.Scopes = c.Scopes()
	}
	if answer.Ends != 0 {
		token.RefreshExpires = c.now().Add(time.Duration(answer.Ends))
	}
	return token, nil
}

// isToken reports whether s has only the characters of RFC 6749 appendix A.12.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Error is what a provider answered in place of a token or a code. It is
// wrapped in a fault that says what to do.
type Error struct {
	Code        string // error of RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, in lower case; empty where there was none
	Description string // the first line of error_description, 500 bytes at most; what was secret in the request is replaced
	AADSTS      string // Microsoft's own code with its prefix, as AADSTS50011
	Status      int    // of HTTP; 0 where a browser brought it
}

// Error has the code and the quoted description.
func (e *Error) Error() string {
	s := e.Code
	if s == "" {
		s = fmt.Sprintf("HTTP status %d", e.Status)
	}
	if e.Description != "" {
		s += ": " + fault.Quote(e.Description)
	}
	return s
}

const aadstsPrefix = "AADSTS"

var aadsts = regexp.MustCompile(aadstsPrefix + `[0-9]{5,8}\b`)

// newError takes the code and the description of an answer. Of several codes of
// Microsoft's the last is the cause of those before it.
func newError(status int, code, description string) *Error {
	e := &Error{Status: status}
	if isToken(code) && len(code) <= maxCode { // no other means anything
		e.Code = strings.ToLower(code) // Yahoo writes INVALID_GRANT
	}
	if all := aadsts.FindAllString(description, -1); len(all) > 0 {
		e.AADSTS = all[len(all)-1]
	}
	// Microsoft goes on with ids and times that say nothing to a person.
	for _, end := range []string{"\r", "\n", " Trace ID:"} {
		description, _, _ = strings.Cut(description, end)
	}
	description = strings.TrimSpace(description)
	e.Description = strings.ToValidUTF8(description[:min(len(description), maxDescription)], "")
	return e
}

// parseError reads an answer of RFC 6749 section 5.2. A provider that repeats
// what it was sent must not bring secrets into a text.
func parseError(status int, body []byte, form url.Values) *Error {
	var answer struct {
		Code        text            `json:"error"`
		Description text            `json:"error_description"`
		Codes       json.RawMessage `json:"error_codes"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return &Error{Status: status}
	}
	e := newError(status, hide(string(answer.Code), form), hide(string(answer.Description), form))
	var codes []int
	if e.AADSTS == "" && json.Unmarshal(answer.Codes, &codes) == nil && len(codes) > 0 {
		e.AADSTS = aadstsPrefix + strconv.Itoa(codes[len(codes)-1])
	}
	return e
}

const (
	shortestSecret = 8  // bytes; codes, tokens and secrets of providers are longer
	maxCode        = 64 // bytes of an error of RFC 6749
	maxDescription = 500
)

// public are the parameters of requests that may be shown.
var public = []string{"client_id", "grant_type", "redirect_uri", "scope", "resource"}

// hide replaces what is secret in a form, in one pass: what was put in is not
// replaced again. Shorter values would only make texts unreadable.
func hide(s string, form url.Values) string {
	var pairs []string
	for name, values := range form {
		for _, v := range values {
			if len(v) >= shortestSecret && !slices.Contains(public, name) {
				pairs = append(pairs, v, "[secret]")
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace(s)
}
