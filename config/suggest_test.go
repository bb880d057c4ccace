package config

import "testing"

func TestDidYouMean(t *testing.T) {
	names := []string{"home", "work", "ann@example.com"}
	tests := []struct{ name, want string }{
		{"hom", "did you mean home? "},
		{"Home", "did you mean home? "},
		{"worc", "did you mean work? "},
		{"ann@exmaple.com", "did you mean ann@example.com? "},
		{"hmoe", "did you mean home? "},
		{"zzzz", ""},
		{"x", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := DidYouMean(tt.name, names); got != tt.want {
			t.Errorf("DidYouMean(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}
