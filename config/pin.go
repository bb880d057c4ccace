package config

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// readPins reads tls_pin: one pin, or a list for a server that changes its key.
func readPins(t *table) (pins []Pin) {
	const key, want = "tls_pin", `text in quotes, "sha256:...", or a list of such`
	values, isList := t.values[key].([]any)
	if !isList {
		if !t.has(key) {
			return nil
		}
		text(t, key, Pin{}, want, func(s string) (Pin, *mistake) {
			p, m := readPin(s)
			pins = append(pins, p)
			return p, m
		})
		return pins
	}
	if len(values) == 0 {
		t.report(key, &mistake{"the list is empty: no server could be reached", "must be " + want})
	}
	for i, v := range values {
		p, m := Pin{}, &mistake{"is " + typeName(v), "must be " + want}
		if s, ok := v.(string); ok {
			p, m = readPin(s)
		}
		if m != nil {
			t.reportAt(fmt.Sprintf("%s[%d]", joinKey(t.path, key), i+1), m)
			continue
		}
		pins = append(pins, p)
	}
	return pins
}

// readPin reads "sha256:" and 64 hexadecimal digits, with colons between them
// or not, or the same in base64, and curl's "sha256//".
func readPin(s string) (p Pin, m *mistake) {
	const hint = "`popbridge account test` prints the pin of the server"
	digest, ok := strings.CutPrefix(s, "sha256:")
	if !ok {
		digest, ok = strings.CutPrefix(s, "sha256//")
	}
	if !ok {
		return p, &mistake{quote(s) + ` does not begin with "sha256:"`, hint}
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(digest, ":", ""))
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(digest, "="))
	}
	if err != nil || len(raw) != len(p) {
		return p, &mistake{quote(s) + " is not the SHA-256 of a key", "must be 64 hexadecimal digits, or 44 characters of base64; " + hint}
	}
	return Pin(raw), nil
}

// checkTLS says what weakens TLS, or has no effect.
func (r *reader) checkTLS(t *table, a Account) {
	if a.TLS == None {
		for _, key := range []string{"tls_pin", "tls_minimum"} {
			if t.has(key) {
				t.report(key, &mistake{`means nothing with tls = "none"`, `delete the line, or set tls = "implicit" or "starttls"`})
			}
		}
		return
	}
	if a.TLSMinimum != TLS12 {
		r.warn(t, "tls_minimum", &mistake{"TLS " + string(a.TLSMinimum) + " protects password and mail of account " + a.Name + " badly (RFC 8996)",
			"ask the provider for TLS 1.2, then delete the line"})
	}
	if len(a.Pins) > 0 && a.CAFile != "" && (a.Send.Host == "" || a.Send.TLS == None || len(a.Send.Pins) > 0) {
		r.warn(t, "ca_file", &mistake{"is not used: tls_pin decides alone", "delete one of the two lines"})
	}
}
