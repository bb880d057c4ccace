package ownership

import (
	"cmp"
	"os/user"
)

// A Caller is the user who has this process run as another one. It is what the
// environment says: who may set that already has the rights of this process.
type Caller struct {
	By   string // sudo, doas or pkexec; "" where the process runs as who started it
	Name string // its number where it has no name
	UID  string // "" where it is not known
}

// CalledBy returns who has called this process by sudo, doas or pkexec. That may be root.
// Of su there is no sign.
func CalledBy(getenv func(string) string) Caller {
	if name := getenv("SUDO_USER"); name != "" {
		return Caller{"sudo", name, cmp.Or(getenv("SUDO_UID"), number(name))}
	}
	if name := getenv("DOAS_USER"); name != "" {
		return Caller{"doas", name, number(name)}
	}
	if uid := getenv("PKEXEC_UID"); uid != "" {
		name := uid
		if u, err := user.LookupId(uid); err == nil {
			name = u.Username
		}
		return Caller{"pkexec", name, uid}
	}
	return Caller{}
}

func number(name string) string {
	u, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	return u.Uid
}
