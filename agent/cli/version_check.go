package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/popbridge/popbridge/internal/fault"
)

// releasesAddress says which release is the newest, in the form of GitHub's REST API
// ("Get the latest release"). Whoever builds popbridge for a fork or a mirror sets it
// with -ldflags -X; no setting changes it.
var releasesAddress = "https://api.github.com/repos/popbridge/popbridge/releases/latest"

const (
	releasesPage   = "https://github.com/popbridge/popbridge/releases"
	releaseWithin  = 10 * time.Second // for the whole question
	releaseMost    = 1 << 20          // bytes of an answer; GitHub's is some 20 kB
	releaseHeader  = 64 << 10         // bytes of its header
	releaseTagMost = 64               // characters of a tag
)

// versionCheck is what `version --check` found out.
type versionCheck struct {
	Version string `json:"version"` // of this program
	Newest  string `json:"newest"`  // that was released
	Update  string `json:"update"`  // "available", "none", or "unknown" of a build between releases
	From    string `json:"from"`    // a command or an address
}

func (a *app) checkVersion(ctx context.Context, client *http.Client, current string) error {
	newest, err := newestRelease(ctx, client, releasesAddress)
	if err != nil {
		return err
	}
	program, _ := os.Executable() // unknown: the page is right for everyone
	info, _ := debug.ReadBuildInfo()
	c := versionCheck{Version: current, Newest: newest}
	c.Update = compareVersions(c.Version, newest)
	c.From = updateFrom(program, info, newest)
	if a.json {
		return a.printJSON(c)
	}
	switch c.Update {
	case "available":
		a.printf("popbridge %s is out, this is %s; get it with: %s\n", c.Newest, c.Version, c.From)
	case "none":
		a.printf("popbridge %s is the newest; the last release is %s\n", c.Version, c.Newest)
	default:
		a.printf("popbridge %s is a build between releases; the last release is %s: %s\n", c.Version, c.Newest, c.From)
	}
	return nil
}

// compareVersions says whether newest is newer than ours. A version of ours that
// names no release cannot be compared.
func compareVersions(ours, newest string) string {
	ours = "v" + strings.TrimPrefix(ours, "v")
	switch {
	case !semver.IsValid(ours), strings.HasPrefix(ours, "v0.0.0-"):
		return "unknown"
	case semver.Compare("v"+newest, ours) > 0:
		return "available"
	}
	return "none"
}

// updateFrom is how to get a version: a command where the path of the program, or what
// is in it, shows what installed it, else the page of the release.
func updateFrom(program string, info *debug.BuildInfo, version string) string {
	slashed := strings.ToLower(filepath.ToSlash(program))
	for _, by := range []struct{ folder, command string }{
		{"/cellar/", "brew upgrade popbridge"},
		{"/scoop/apps/", "scoop update popbridge"},
	} {
		if strings.Contains(slashed, by.folder) {
			return by.command
		}
	}
	if info != nil && info.Main.Sum != "" { // `go install` of a version, not a build in a checkout
		return "go install github.com/popbridge/popbridge/cmd/popbridge@v" + version
	}
	return releasesPage + "/tag/v" + version
}

// releaseClient asks through the proxy of the environment, by HTTPS only, and sends
// nothing that says who asks.
func releaseClient(config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
			DisableKeepAlives: true, MaxResponseHeaderBytes: releaseHeader,
		},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if to.URL.Scheme != "https" {
				return errors.New("it redirects to an address that is not https")
			}
			if len(via) > 3 {
				return errors.New("it redirects more than three times")
			}
			return nil
		},
	}
}

// newestRelease asks for the newest release and returns its version without "v".
func newestRelease(ctx context.Context, client *http.Client, address string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, releaseWithin, fmt.Errorf("no answer within %s", releaseWithin))
	defer cancel()
	tag, err := askForRelease(ctx, client, address)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = noRelease(context.Cause(ctx), fault.Temporary)
	}
	if err != nil {
		return "", err
	}
	if len(tag) > releaseTagMost || !strings.HasPrefix(tag, "v") || semver.Canonical(tag) != tag {
		return "", noRelease(fmt.Errorf("the newest release has the name %s, which is no version", fault.Quote(tag)), fault.Protocol)
	}
	return tag[1:], nil
}

func askForRelease(ctx context.Context, client *http.Client, address string) (string, error) {
	if !strings.HasPrefix(address, "https://") {
		return "", noRelease(fmt.Errorf("this build asks at %s, which is not https", fault.Quote(address)), fault.Internal)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", noRelease(err, fault.Internal)
	}
	req.Header.Set("User-Agent", "popbridge") // GitHub answers no request without one
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := client.Do(req)
	if err != nil {
		return "", noRelease(err, fault.Temporary)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", fault.New(fault.NotFound, "popbridge has no published release yet", "")
	case http.StatusForbidden, http.StatusTooManyRequests:
		return "", fault.New(fault.Temporary, "the server with the releases takes no more questions from this address for now",
			"try again in an hour, or look at "+releasesPage)
	default:
		return "", noRelease(fmt.Errorf("the server answers %s", fault.Quote(resp.Status)), fault.Temporary)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, releaseMost+1))
	if err != nil {
		return "", noRelease(err, fault.Temporary)
	}
	if len(text) > releaseMost {
		return "", noRelease(errors.New("the answer is longer than 1 MB"), fault.Protocol)
	}
	var release struct {
		Tag string `json:"tag_name"`
	}
	if err := json.Unmarshal(text, &release); err != nil {
		return "", noRelease(errors.New("the answer is not the one of a list of releases"), fault.Protocol)
	}
	return release.Tag, nil
}

// noRelease says that the newest release is not known.
func noRelease(why error, kind fault.Kind) error {
	return fault.Wrap(why, kind, "which version is the newest could not be found out",
		"check the connection, and the proxy (HTTPS_PROXY) where there is one; the releases are listed at "+releasesPage)
}
