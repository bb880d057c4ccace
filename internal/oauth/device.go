package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/popbridge/popbridge/internal/fault"
)

const (
	usualInterval   = 5 * time.Second // RFC 8628 section 3.2
	slowDown        = 5 * time.Second // RFC 8628 section 3.5, more at each slow_down
	minInterval     = time.Second     // whatever a provider says
	maxInterval     = time.Minute     // also while the network fails
	deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"
)

// Device is a sign-in with a browser anywhere (RFC 8628).
type Device struct {
	UserCode    string    // what a person enters there
	URL         string    // where
	CompleteURL string    // with the code in it; empty where the provider has none
	Expires     time.Time // of the code

	client   *Client
	code     string
	interval time.Duration
}

// BeginDevice asks for a code.
func (c *Client) BeginDevice(ctx context.Context) (*Device, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Device == "" {
		return nil, fault.New(fault.Config, "this provider has no sign-in by device code for mail",
			"sign in with a browser; on a machine without one, open the URL elsewhere and paste the last address")
	}
	form := c.withClient(url.Values{})
	if c.Resource == "" {
		form.Set("scope", strings.Join(c.Scopes(), " "))
	}
	body, err := c.post(ctx, c.Device, form, beginDevice)
	if err != nil {
		return nil, err
	}
	return c.parseDevice(body)
}

// parseDevice reads an answer of RFC 8628 section 3.2.
func (c *Client) parseDevice(body []byte) (*Device, error) {
	var answer struct {
		Code     text    `json:"device_code"`
		UserCode text    `json:"user_code"`
		URI      text    `json:"verification_uri"`
		URL      text    `json:"verification_url"` // drafts of the RFC, Google and Yandex
		Complete text    `json:"verification_uri_complete"`
		Expires  seconds `json:"expires_in"`
		Interval seconds `json:"interval"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fault.New(fault.Protocol, "the provider's answer is not JSON as of RFC 8628", "check device_url")
	}
	if answer.URI == "" {
		answer.URI = answer.URL
	}
	if !isToken(string(answer.Code)) || !isUserCode(string(answer.UserCode)) || checkURL("verification_uri", string(answer.URI)) != nil {
		return nil, fault.New(fault.Protocol, "the provider's answer has no code or no usable address to enter it at", "check device_url")
	}
	if checkURL("verification_uri_complete", string(answer.Complete)) != nil {
		answer.Complete = ""
	}
	if answer.Expires == 0 {
		answer.Expires = seconds(signInFor)
	}
	if answer.Interval == 0 {
		answer.Interval = seconds(usualInterval)
	}
	return &Device{UserCode: string(answer.UserCode), URL: string(answer.URI), CompleteURL: string(answer.Complete),
		Expires: c.now().Add(time.Duration(answer.Expires)),
		client:  c, code: string(answer.Code), interval: min(max(time.Duration(answer.Interval), minInterval), maxInterval)}, nil
}

// isUserCode reports whether a person can type it.
func isUserCode(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// Wait asks the provider again and again until the person has signed in, the
// code expired, or ctx ends. Failures of the network do not end it.
func (d *Device) Wait(ctx context.Context) (Token, error) {
	left := d.Expires.Sub(d.client.now())
	ctx, cancel := context.WithTimeoutCause(ctx, left, errCodeExpired)
	defer cancel()
	interval, wait := d.interval, d.interval
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Token{}, ended(ctx)
		}
		token, err := d.poll(ctx)
		e, _ := errors.AsType[*Error](err)
		switch {
		case err == nil:
			return token, nil
		case ctx.Err() != nil:
			return Token{}, ended(ctx)
		case e != nil && e.Code == "authorization_pending":
			wait = interval
		case e != nil && e.Code == "slow_down":
			interval = min(interval+slowDown, maxInterval)
			wait = interval
		case fault.Is(err, fault.Temporary):
			wait = min(2*wait, maxInterval) // RFC 8628 section 3.5 wants exponential back-off
		default:
			return Token{}, err
		}
	}
}

var errCodeExpired = fault.New(fault.Auth, "the code was not entered in time", "begin the sign-in again")

func (d *Device) poll(ctx context.Context) (Token, error) {
	form := url.Values{"grant_type": {deviceGrantType}, "device_code": {d.code}}
	if strings.HasPrefix(d.client.Token, "https://oauth.yandex.") {
		// Of a draft: yandex.com/dev/id/doc/en/codes/screen-code-oauth.
		form = url.Values{"grant_type": {"device_code"}, "code": {d.code}}
	}
	body, err := d.client.post(ctx, d.client.Token, d.client.withClient(form), deviceWaiting)
	if err != nil {
		return Token{}, err
	}
	return d.client.parseToken(body)
}
