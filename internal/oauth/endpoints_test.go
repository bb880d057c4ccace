package oauth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
)

func TestBuiltin(t *testing.T) {
	want := []string{"aol", "comcast", "fastmail", "google", "microsoft", "microsoft-cn", "yahoo", "yandex"}
	if got := oauth.Providers(); !slices.Equal(got, want) {
		t.Errorf("providers %q", got)
	}
	for _, provider := range want {
		e, ok := oauth.Builtin(provider, "")
		if !ok || e.Check() != nil || e.Redirect == "" || len(e.Scopes()) == 0 && e.Resource == "" {
			t.Errorf("%s: %+v, %v, %v", provider, e, ok, e.Check())
		}
		if len(e.SMTP) > 0 { // who changes his copy changes no other
			e.SMTP[0] = "changed"
			if e.Authorizing != nil {
				e.Authorizing.Set("changed", "")
			}
			again, _ := oauth.Builtin(provider, "")
			if again.SMTP[0] == "changed" || again.Authorizing.Has("changed") {
				t.Errorf("%s: a copy shares its scopes", provider)
			}
		}
	}
	if _, ok := oauth.Builtin("example", ""); ok {
		t.Error("example is known")
	}
	for tenant, want := range map[string]string{
		"":            "https://login.microsoftonline.com/common/oauth2/v2.0/token",
		"consumers":   "https://login.microsoftonline.com/consumers/oauth2/v2.0/token",
		"example.org": "https://login.microsoftonline.com/example.org/oauth2/v2.0/token",
		"../evil?x#y": "https://login.microsoftonline.com/..%2Fevil%3Fx%23y/oauth2/v2.0/token",
	} {
		if e, _ := oauth.Builtin("microsoft", tenant); e.Token != want {
			t.Errorf("tenant %q: %s", tenant, e.Token)
		}
	}
}

func TestProviderOf(t *testing.T) {
	for host, want := range map[string]string{
		"outlook.office365.com": "microsoft", "smtp.office365.com": "microsoft", "smtp-mail.outlook.com": "microsoft",
		"pop-mail.outlook.com": "microsoft", "partner.outlook.cn": "microsoft-cn", "smtp.partner.outlook.cn": "microsoft-cn",
		"pop.gmail.com": "google", "SMTP.Gmail.Com.": "google", "pop.googlemail.com": "google",
		"pop.fastmail.com": "fastmail", "smtp.fastmail.com": "fastmail", "pop.mail.yahoo.com": "yahoo", "outbound.att.net": "yahoo",
		"pop.aol.com": "aol", "smtp.comcast.net": "comcast", "smtp.yandex.com": "yandex",
		"pop.yandex.com": "", "pop.mail.yahoo.co.jp": "", "mail.gmx.net": "", "": "", "evilgmail.com": "", "gmail.com.evil.example": "",
	} {
		if got := oauth.ProviderOf(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestEndpointsThatCannotBeUsed(t *testing.T) {
	good := oauth.Client{ID: "id", Endpoints: oauth.Endpoints{Authorize: "https://x.example/a", Token: "https://x.example/t"}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func(*oauth.Client)
		want   string
	}{
		{func(c *oauth.Client) { c.ID = "" }, "client_id is missing"},
		{func(c *oauth.Client) { c.Authorize = "" }, "authorize_url is missing"},
		{func(c *oauth.Client) { c.Token = "http://x.example/t" }, "token_url is not encrypted"},
		{func(c *oauth.Client) { c.Token = "ftp://127.0.0.1/t" }, "token_url is not encrypted"},
		{func(c *oauth.Client) { c.Token = "https://u:pw@x.example/t" }, "token_url is no URL"},
		{func(c *oauth.Client) { c.Token = "x.example/t" }, "token_url is no URL"},
		{func(c *oauth.Client) { c.Device = "http://x.example" }, "device_url is not encrypted"},
		{func(c *oauth.Client) { c.Redirect = "localhost" }, "redirect is no URL"},
	} {
		c := good
		tt.change(&c)
		err := c.Check()
		if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), tt.want) || fault.Hint(err) == "" || strings.Contains(err.Error(), "pw") {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	for _, loopback := range []string{"http://127.0.0.1:5/t", "http://[::1]:5/t", "http://localhost/t", "http://127.9.9.9/t"} {
		c := good
		c.Token = loopback
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", loopback, err)
		}
	}
}
