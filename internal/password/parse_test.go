package password

import "testing"

func FuzzPasswordHash(f *testing.F) {
	f.Add(params{8, 1, 1, "salt"}.hash("x"))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$$")
	f.Add("$argon2id$v=19$m=-1,t=0,p=999$AAAA$")
	f.Fuzz(func(t *testing.T, encoded string) {
		p, err := parse(encoded)
		if err != nil || p.memory > 64 || p.time > 2 {
			return
		}
		again, err := parse(p.hash("x"))
		if err != nil || again != p {
			t.Errorf("%+v came back as %+v, %v", p, again, err)
		}
	})
}
