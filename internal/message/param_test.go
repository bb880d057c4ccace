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
		ok                bool
	}{
		{"text/plain", "text", "plain", nil, true},
		{"TEXT/Plain; Charset=UTF-8", "text", "plain", params{"charset": "UTF-8"}, true},
		{` text / html (a comment) ; charset = "utf-8" ; format=flowed (really)`, "text", "html", params{"charset": "utf-8", "format": "flowed"}, true},
		{`multipart/mixed; boundary="a;b\"c"; x=`, "multipart", "mixed", params{"boundary": `a;b"c`, "x": ""}, true},
		{"multipart/mixed; boundary=----=_Part_1.2", "multipart", "mixed", params{"boundary": "----=_Part_1.2"}, true},
		// missing and surplus semicolons
		{`multipart/mixed boundary="x"`, "multipart", "mixed", params{"boundary": "x"}, true},
		{"multipart/mixed;; boundary=x;", "multipart", "mixed", params{"boundary": "x"}, true},
		{"text/plain; charset=utf-8 format=flowed", "text", "plain", params{"charset": "utf-8"}, true},
		{"text/plain; charset", "text", "plain", nil, true},
		{"text/plain; charset; format=flowed", "text", "plain", params{"format": "flowed"}, true},
		{`text/plain; charset="utf-8`, "text", "plain", params{"charset": "utf-8"}, true},
		{"text/plain; =x; a=b", "text", "plain", params{"a": "b"}, true},
		// names of files
		{"a/b; name=my file.txt; x=y z", "a", "b", params{"name": "my file.txt", "x": "y"}, true},
		{`a/b; name="=?utf-8?q?caf=C3=A9?=.txt"`, "a", "b", params{"name": "café.txt"}, true},
		{"a/b; name==?utf-8?q?caf=C3=A9?=.txt", "a", "b", params{"name": "café.txt"}, true},
		{"a/b; x=1; x=2; X=3", "a", "b", params{"x": "1"}, true},
		// RFC 2231
		{"a/b; name*=utf-8''%e2%82%ac%20rates", "a", "b", params{"name": "€ rates"}, true},
		{"a/b; name*=iso-8859-1'en'%A3%20rates", "a", "b", params{"name": "£ rates"}, true},
		{"a/b; name*0*=utf-8''a%20; name*1=\"b%20\"; name*2*=%e2%82; name*3*=%ac", "a", "b", params{"name": "a b%20€"}, true},
		{"a/b; name*1=b; name*0=a; name=c", "a", "b", params{"name": "ab"}, true},
		{"a/b; name*0=a; name*1=b; name*0=c; name*=utf-8''d", "a", "b", params{"name": "ab"}, true},
		{"a/b; name*=no-quotes%20here", "a", "b", params{"name": "no-quotes here"}, true},
		{"a/b; name*x=1; *=2; name*99999999999=3", "a", "b", params{"name*x": "1", "*": "2", "name*99999999999": "3"}, true},
		{"a/b; name*=utf-8''%zz%4", "a", "b", params{"name": "%zz%4"}, true},
		// no type
		{"", "text", "plain", nil, false},
		{"text", "text", "plain", nil, false},
		{"multipart; boundary=x", "multipart", "mixed", params{"boundary": "x"}, false},
		{"foo", "application", "octet-stream", nil, false},
		{"/", "text", "plain", nil, false},
		{"/plain; a=b", "text", "plain", params{"a": "b"}, false},
		{`; name="x.jpg"`, "text", "plain", params{"name": "x.jpg"}, false},
		{`"text/html"; a=b`, "text", "html", params{"a": "b"}, true},
		{"image/png/x; a=b", "image", "png", params{"a": "b"}, true},
	} {
		kind, subtype, got, ok := parseContentType(c.in)
		if kind != c.kind || subtype != c.subtype || ok != c.ok {
			t.Errorf("%q: %s/%s %v; want %s/%s %v", c.in, kind, subtype, ok, c.kind, c.subtype, c.ok)
		}
		if diff := cmp.Diff(c.params, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
	}
}
