package password_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/password"
)

// Hashes of earlier versions: of "one" with low costs, and of "two" with a salt of
// its own.
const (
	cheap     = "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0aGUgcGhvbmU$0Gl+XPZr17x/3Ib7gZfNBpN19Yztfzx0rpveP9WLMFA"
	ownSalt   = "$argon2id$v=19$m=19456,t=2,p=1$YW5vdGhlciBzYWx0$mhPviPRxgu02mmPbtqaf0/4G51F0FToLs4ypaYOATv4"
	noHash    = "$argon2id$v=19$m=19456,t=2,p=1$$"
	tooCostly = "$argon2id$v=19$m=2000000,t=2,p=1$YW5vdGhlciBzYWx0$mhPviPRxgu02mmPbtqaf0/4G51F0FToLs4ypaYOATv4"
)

func hash(t *testing.T, c *password.Checker, text string, others ...string) string {
	t.Helper()
	encoded, err := c.Hash(t.Context(), text, others)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func find(t *testing.T, c *password.Checker, text string, hashes ...string) int {
	t.Helper()
	i, err := c.Find(t.Context(), text, hashes)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// allocated returns how many bytes do takes: one hash takes 19 MiB.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const oneHash = 19 << 20

func TestHashesNameTheirFormAndShareASalt(t *testing.T) {
	c := password.NewChecker()
	one := hash(t, c, "one")
	two := hash(t, c, "two", one)
	other := hash(t, c, "one")
	form := func(encoded string) string { return encoded[:strings.LastIndexByte(encoded, '$')] }
	if !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(one, "one") {
		t.Errorf("stored as %s", one)
	}
	if form(one) != form(two) || form(one) == form(other) {
		t.Errorf("salts: %s, %s, of another user %s", one, two, other)
	}
	if password.Outdated(two, []string{one, two}) || !password.Outdated(cheap, []string{one}) || !password.Outdated(ownSalt, []string{one}) ||
		password.Outdated(ownSalt, []string{ownSalt, one}) || password.Outdated("nonsense", nil) {
		t.Error("which form is outdated is not right")
	}
}

func TestFind(t *testing.T) {
	c := password.NewChecker()
	three := hash(t, c, "three")
	hashes := []string{"", "nonsense", noHash, cheap, ownSalt, three, tooCostly}
	for range 2 { // hashed, then remembered
		for text, want := range map[string]int{"one": 3, "two": 4, "three": 5, "four": -1, "": -1, "Three": -1, strings.Repeat("x", 5000): -1} {
			if i := find(t, c, text, hashes...); i != want {
				t.Errorf("%.10q is %d, want %d", text, i, want)
			}
		}
	}
	for _, h := range []string{cheap, ownSalt, three} {
		if err := password.Check(h); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
	for _, h := range []string{"", "nonsense", tooCostly, strings.Replace(cheap, "t=1", "t=0", 1), strings.Replace(cheap, "p=1", "p=999", 1)} {
		if password.Check(h) == nil {
			t.Errorf("%q is a hash", h)
		}
	}
}

// TestAKnownPasswordIsNotHashed: nor is one that was forgotten taken for known.
func TestAKnownPasswordIsNotHashed(t *testing.T) {
	c := password.NewChecker()
	one, two := hash(t, c, "one"), ""
	two = hash(t, c, "two", one)
	c.Learn("one", one)
	find(t, c, "two", one, two)
	cost := allocated(func() {
		for range 100 {
			if c.Recall("one") != one || c.Recall("two") != two || c.Recall("") != "" || c.Recall("three") != "" {
				t.Error("not what was learned")
			}
			if find(t, c, "two", one, two) != 1 {
				t.Error("not found")
			}
		}
	})
	if cost >= oneHash {
		t.Errorf("%d bytes were allocated", cost)
	}
	c.Forget(one)
	if c.Recall("one") != "" || c.Recall("two") != two {
		t.Error("forgot the wrong one")
	}
}

// TestAWrongPasswordCostsTheSame: whether or not there is anything to compare it
// with.
func TestAWrongPasswordCostsTheSame(t *testing.T) {
	c := password.NewChecker()
	one := hash(t, c, "one")
	two := hash(t, c, "two", one)
	for name, do := range map[string]func(){
		"two devices": func() { find(t, c, "wrong", one, two) },
		"none":        func() { find(t, c, "wrong") },
		"damaged":     func() { find(t, c, "wrong", "nonsense") },
		"no user":     func() { password.Refuse("wrong") },
	} {
		if cost := allocated(do); cost < oneHash || cost > 2*oneHash {
			t.Errorf("%s: %d bytes were allocated", name, cost)
		}
	}
}

func TestManyAtOnceHashOnce(t *testing.T) {
	c := password.NewChecker()
	one := hash(t, c, "one")
	cost := allocated(func() {
		var g errgroup.Group
		for range 20 {
			g.Go(func() error {
				_, err := c.Find(t.Context(), "one", []string{one})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	if cost > 3*oneHash {
		t.Errorf("%d bytes were allocated", cost)
	}
}

func TestWhoGivesUpGetsThat(t *testing.T) {
	c := password.NewChecker()
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	for range 20 { // more than there are places
		g.Go(func() error { _, err := c.Find(ctx, "wrong", []string{ownSalt}); return err })
	}
	cancel()
	if err := g.Wait(); err == nil {
		t.Error("all of them were hashed")
	}
	find(t, c, "wrong", ownSalt) // and no place is lost
	hash(t, c, "one")
}
