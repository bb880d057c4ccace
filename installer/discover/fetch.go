package discover

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// maxRedirects is how many redirects are followed for one document.
const maxRedirects = 3

// maxHead is the room for the header of a response, in bytes.
const maxHead = 16 << 10

// errNoPage says that a web server has no such document.
var errNoPage = errors.New("there is none")

// fetch returns a document of at most maxDocument bytes by https, within
// fetchFor. Redirects are followed to https on port 443 and public addresses
// only; the first request may go to a private one, for a home network can have a
// mail server with a valid certificate of its own. No proxy, no cookies.
func (n network) fetch(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, n.limits.fetch)
	defer cancel()
	for hop := 0; hop <= maxRedirects; hop++ {
		body, next, err := n.get(ctx, address, hop > 0)
		if err != nil || next == "" {
			return body, err
		}
		address = next
	}
	return nil, fmt.Errorf("more than %d redirects", maxRedirects)
}

// get asks once and returns the body, or where it is redirected to. The transport
// of net/http is of no use here: its connections can outlive the request.
func (n network) get(ctx context.Context, address string, redirected bool) (body []byte, next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("User-Agent", "popbridge")
	req.Close = true
	err = n.with(ctx, req.URL.Hostname(), 443, redirected, func(conn net.Conn) error {
		secured := tls.Client(conn, n.tlsConfig(req.URL.Hostname()))
		if err := secured.Handshake(); err != nil {
			return err
		}
		if err := req.Write(secured); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(secured, maxDocument+maxHead)), req)
		if err != nil {
			return fmt.Errorf("the web server does not answer in HTTP: %w", err)
		}
		body, next, err = answer(resp)
		return err
	})
	return body, next, err
}

// answer returns the body of a response, or where it leads. The body is not
// closed, which would read the rest of it first: the connection is.
func answer(resp *http.Response) (body []byte, next string, err error) {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		body, err := readDocument(resp.Body)
		return body, "", err
	case code == http.StatusMovedPermanently, code == http.StatusFound, code == http.StatusSeeOther,
		code == http.StatusTemporaryRedirect, code == http.StatusPermanentRedirect:
		next, err := target(resp)
		return nil, next, err
	case code == http.StatusNotFound, code == http.StatusGone:
		return nil, "", errNoPage
	default:
		return nil, "", fmt.Errorf("the web server answers %d", code)
	}
}

func readDocument(from io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxDocument {
		return nil, fmt.Errorf("the document is longer than %d KiB", maxDocument>>10)
	}
	return body, nil
}

// target returns where a redirect leads.
func target(resp *http.Response) (string, error) {
	u, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("a redirect to nowhere")
	}
	host, ok := hostName(u.Hostname())
	if !ok || u.Scheme != "https" || u.User != nil || u.Port() != "" && u.Port() != "443" {
		return "", fmt.Errorf("a redirect to something else than https: not followed")
	}
	return (&url.URL{Scheme: "https", Host: host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String(), nil
}
