package message

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseContentType(t *testing.T) {
	type params = map[string]string
	for _, c := range []struct {
		in, kind, subtype string
		params            params
	}{
		{"text/plain", "text", "plain", nil},
		{"TEXT/Plain; Charset=UTF-8", "text", "plain", params{"charset": "UTF-8"}},
		{` text / html (a comment) ; charset = "utf-8" ; format=flowed (really)`, "text", "html", params{"charset": "utf-8", "format": "flowed"}},
		{`multipart/mixed; boundary="a;b\"c"; x=`, "multipart", "mixed", params{"boundary": `a;b"c`, "x": ""}},
		{"multipart/mixed; boundary=----=_Part_1.2", "multipart", "mixed", params{"boundary": "----=_Part_1.2"}},
		// missing and surplus semicolons
		{`multipart/mixed boundary="x"`, "multipart", "mixed", params{"boundary": "x"}},
		{"multipart/mixed;; boundary=x;", "multipart", "mixed", params{"boundary": "x"}},
		{"text/plain; charset=utf-8 format=flowed", "text", "plain", params{"charset": "utf-8"}},
		{"text/plain; charset", "text", "plain", nil},
		{"text/plain; charset; format=flowed", "text", "plain", params{"format": "flowed"}},
		{`text/plain; charset="utf-8`, "text", "plain", params{"charset": "utf-8"}},
		{"text/plain; =x; a=b", "text", "plain", params{"a": "b"}},
		// names of files
		{"a/b; name=my file.txt; x=y z", "a", "b", params{"name": "my file.txt", "x": "y"}},
		{`a/b; name="=?utf-8?q?caf=C3=A9?=.txt"`, "a", "b", params{"name": "café.txt"}},
		{"a/b; name==?utf-8?q?caf=C3=A9?=.txt", "a", "b", params{"name": "café.txt"}},
		{"a/b; x=1; x=2; X=3", "a", "b", params{"x": "1"}},
		// RFC 2231
		{"a/b; name*=utf-8''%e2%82%ac%20rates", "a", "b", params{"name": "€ rates"}},
		{"a/b; name*=iso-8859-1'en'%A3%20rates", "a", "b", params{"name": "£ rates"}},
		{"a/b; name*0*=utf-8''a%20; name*1=\"b%20\"; name*2*=%e2%82; name*3*=%ac", "a", "b", params{"name": "a b%20€"}},
		{"a/b; name*1=b; name*0=a; name=c", "a", "b", params{"name": "ab"}},
		{"a/b; name*0=a; name*1=b; name*0=c; name*=utf-8''d", "a", "b", params{"name": "ab"}},
		{"a/b; name*=no-quotes%20here", "a", "b", params{"name": "no-quotes here"}},
		{"a/b; name*x=1; *=2; name*99999999999=3", "a", "b", params{"name*x": "1", "*": "2", "name*99999999999": "3"}},
		{"a/b; name*=utf-8''%zz%4", "a", "b", params{"name": "%zz%4"}},
		// no type
		{"", "text", "plain", nil},
		{"text", "text", "plain", nil},
		{"multipart; boundary=x", "multipart", "mixed", params{"boundary": "x"}},
		{"foo", "application", "octet-stream", nil},
		{"/", "text", "plain", nil},
		{"/plain; a=b", "text", "plain", params{"a": "b"}},
		{`; name="x.jpg"`, "text", "plain", params{"name": "x.jpg"}},
		{`"text/html"; a=b`, "text", "html", params{"a": "b"}},
		{"image/png/x; a=b", "image", "png", params{"a": "b"}},
	} {
		kind, subtype, got := parseContentType(c.in)
		if kind != c.kind || subtype != c.subtype {
			t.Errorf("%q: %s/%s; want %s/%s", c.in, kind, subtype, c.kind, c.subtype)
		}
		if diff := cmp.Diff(c.params, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
	}
}
