package agent

import "github.com/popbridge/popbridge/config"

// didYouMean starts a hint with the name that was probably meant, or is "".
func didYouMean(name string, names []string) string {
	if near := config.Nearest(name, names); near != "" {
		return "did you mean " + near + "? "
	}
	return ""
}
