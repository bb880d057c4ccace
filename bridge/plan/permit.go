package plan

import "time"

// Permit is the extent of a policy, so that it can be told whether another one
// goes further.
type Permit struct {
	Keep string `json:"keep,omitempty"` // "" is forever
	// N is what is kept at least: seconds, messages or bytes.
	N        int64  `json:"n,omitempty"`
	Expunged *int64 `json:"expunged,omitempty"` // seconds after the removal here
}

// Permit is what the policy allows at most.
func (p Policy) Permit() Permit {
	var out Permit
	switch p.Keep.mode {
	case keepNever:
		out = Permit{Keep: "never"}
	case keepFor:
		out = Permit{Keep: "for", N: int64(p.Keep.age / time.Second)}
	case keepNewest:
		out = Permit{Keep: "newest", N: int64(p.Keep.count)}
	case keepBelow:
		out = Permit{Keep: "below", N: p.Keep.limit()}
	}
	if p.Expunged {
		seconds := int64(p.Grace / time.Second)
		out.Expunged = &seconds
	}
	return out
}

// Covers reports whether nothing that o would delete goes beyond p.
func (p Permit) Covers(o Permit) bool {
	if p.Keep == "never" {
		return true // whatever is stored here
	}
	keep := o.Keep == "" || o.Keep == p.Keep && o.N >= p.N
	expunged := o.Expunged == nil || p.Expunged != nil && *o.Expunged >= *p.Expunged
	return keep && expunged
}
