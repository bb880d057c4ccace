package agent

import "strings"

// theUsers is a hint that names these users.
func theUsers(users []string) string {
	if len(users) == 0 {
		return "there is no user yet: `user` of an [[account]] in the config makes one; `popbridge check-config --help` shows what it looks like"
	}
	return "the users are: " + strings.Join(users, ", ")
}
