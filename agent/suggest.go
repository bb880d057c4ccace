package agent

import (
	"strings"

	"github.com/popbridge/popbridge/config"
)

// didYouMean starts a hint with the name that was probably meant, or is "".
func didYouMean(name string, names []string) string {
	if near := config.Nearest(name, names); near != "" {
		return "did you mean " + near + "? "
	}
	return ""
}

// theUsers is a hint that names these users.
func theUsers(users []string) string {
	if len(users) == 0 {
		return "there is no user yet: `user` of an [[account]] in the config makes one; `popbridge check-config --help` shows what it looks like"
	}
	return "the users are: " + strings.Join(users, ", ")
}
