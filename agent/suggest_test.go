package agent

import "testing"

func TestDidYouMean(t *testing.T) {
	names := []string{"home", "work", "ann@example.com"}
	tests := []struct{ name, want string }{
		{"hom", "did you mean home? "},
		{"Home", "did you mean home? "},
		{"worc", "did you mean work? "},
		{"ann@exmaple.com", "did you mean ann@example.com? "},
		{"mohe", "did you mean home? "},
		{"zzzz", ""},
		{"x", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := didYouMean(tt.name, names); got != tt.want {
			t.Errorf("didYouMean(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"same", "same", 0}}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
