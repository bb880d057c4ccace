package web

import (
	"flag"
	"fmt"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/logging"
)

var update = flag.Bool("update", false, "write the golden files")

// The types that the page's modules are checked with are those of the routes. After a
// change of them: go test ./agent/web -run TestTypes -update
func TestTypes(t *testing.T) {
	const file = "static/types.d.ts"
	g := &generator{names: map[reflect.Type]string{}}
	g.name(reflect.TypeFor[operations.Progress]()) // before another one of that name
	for _, r := range Routes((*operations.Local)(nil), (*operations.Local)(nil)) {
		g.name(r.Ask)
		g.name(r.Answer)
	}
	g.name(reflect.TypeFor[Event]())
	g.name(reflect.TypeFor[logging.Entry]())
	got := "// Made of the types of the routes by TestTypes; see there.\n" + g.text()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("go test ./agent/web -run TestTypes -update brings it up to date (-want +got)\n%s", diff)
	}
}

// generator writes Go types as those of TypeScript.
type generator struct {
	names map[reflect.Type]string
	order []reflect.Type
}

// name is how a type is called there. A struct is written down once.
func (g *generator) name(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return g.name(t.Elem()) + " | null"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string" // base64
		}
		element := g.name(t.Elem())
		if strings.Contains(element, " ") {
			element = "(" + element + ")"
		}
		return element + "[]"
	case reflect.Map:
		return "Record<string, " + g.name(t.Elem()) + ">"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64, reflect.Uint16, reflect.Uint8, reflect.Float64:
		return "number"
	case reflect.Struct:
	default:
		panic("no type for " + t.String())
	}
	if t == reflect.TypeFor[time.Time]() {
		return "string"
	}
	if t.Name() == "" {
		return "{}"
	}
	if name, known := g.names[t]; known {
		return name
	}
	name := t.Name()
	for _, other := range g.names {
		if other == name { // as the request of another package is called
			pkg := path.Base(t.PkgPath())
			name = strings.ToUpper(pkg[:1]) + pkg[1:] + name
		}
	}
	g.names[t] = name
	g.order = append(g.order, t)
	for _, f := range fields(t) {
		g.name(f.Type)
	}
	return name
}

// fields are those of a struct as encoding/json has them, the embedded ones included.
func fields(t reflect.Type) (list []reflect.StructField) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		switch {
		case f.Anonymous && tag == "":
			for _, inner := range fields(f.Type) {
				if !slices.ContainsFunc(list, func(o reflect.StructField) bool { return key(o) == key(inner) }) {
					list = append(list, inner)
				}
			}
		case tag == "-" || !f.IsExported():
		default:
			list = slices.DeleteFunc(list, func(o reflect.StructField) bool { return key(o) == key(f) })
			list = append(list, f)
		}
	}
	return list
}

func key(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		name = f.Name
	}
	return name
}

func (g *generator) text() string {
	slices.SortFunc(g.order, func(a, b reflect.Type) int { return strings.Compare(g.names[a], g.names[b]) })
	var b strings.Builder
	for _, t := range g.order {
		fmt.Fprintf(&b, "\nexport interface %s {\n", g.names[t])
		for _, f := range fields(t) {
			optional := ""
			if strings.Contains(f.Tag.Get("json"), ",omitempty") || strings.Contains(f.Tag.Get("json"), ",omitzero") {
				optional = "?"
			}
			fmt.Fprintf(&b, "  %s%s: %s;\n", key(f), optional, g.name(f.Type))
		}
		b.WriteString("}\n")
	}
	return b.String()
}
