package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// TestTheApplicationIsInTheArchives: in those for macOS, and the same each time.
func TestTheApplicationIsInTheArchives(t *testing.T) {
	t.Chdir(testkit.ModuleRoot(t))
	var first []string
	for _, to := range []target{{"darwin", "arm64"}, {"darwin", "amd64"}, {"linux", "amd64"}, {"windows", "amd64"}} {
		r := small(t)
		r.version = "1.2.3-rc.1"
		if to.os == "darwin" {
			if err := r.application(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := r.contents(to)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			if !strings.HasPrefix(e.path, "app/") {
				continue
			}
			data, err := os.ReadFile(e.from)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(data)
			got = append(got, e.path+" "+e.mode.String()+" "+hex.EncodeToString(sum[:]))
		}
		if to.os != "darwin" {
			if got != nil {
				t.Errorf("%v has %q", to, got)
			}
			continue
		}
		if len(got) != 3 || !strings.HasPrefix(got[1], "app/Contents/MacOS/popbridge -rwxr-xr-x ") {
			t.Errorf("%v has %q", to, got)
		}
		if first == nil {
			first = got
		} else if diff := cmp.Diff(first, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestInfoPlist(t *testing.T) {
	rig.Need(t, "plistutil")
	t.Chdir(testkit.ModuleRoot(t))
	r := small(t)
	r.version = "1.2.3-rc.1"
	if err := r.application(t.Context()); err != nil {
		t.Fatal(err)
	}
	// To a binary list and back: what is not read is not there.
	file := filepath.Join(r.work, "Info.plist")
	for _, argv := range [][]string{{"-i", file, "-f", "bin", "-o", file + ".bin"}, {"-i", file + ".bin", "-f", "xml", "-o", file + ".back"}} {
		if out, err := exec.Command("plistutil", argv...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	var texts [2]string
	for i, name := range []string{file, file + ".back"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = strings.Join(strings.Fields(string(data)), "")
	}
	if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
		t.Error(diff)
	}
	for key, want := range map[string]string{
		"CFBundlePackageType": "<string>APPL</string>", "CFBundleIdentifier": "<string>io.github.popbridge.open</string>", "CFBundleName": "<string>popbridge</string>",
		"CFBundleExecutable": "<string>popbridge</string>", "CFBundleIconFile": "<string>popbridge</string>", "CFBundleShortVersionString": "<string>1.2.3</string>",
		"CFBundleVersion": "<string>1.2.3</string>", "LSUIElement": "<true/>", "NSHighResolutionCapable": "<true/>",
	} {
		if !strings.Contains(texts[1], "<key>"+key+"</key>"+want) {
			t.Errorf("%s is not %s:\n%s", key, want, texts[1])
		}
	}
	// What it names is among the parts.
	for i, path := range []string{"Info.plist", "MacOS/popbridge", "Resources/popbridge.icns"} {
		if got := r.parts()[i].path; got != "app/Contents/"+path {
			t.Error(got)
		}
	}
}

// TestIcns reads the file as macOS does, and holds what is drawn to its pixels: they are
// the same on each processor.
func TestIcns(t *testing.T) {
	t.Chdir(testkit.ModuleRoot(t))
	file, err := icns("agent/web/static/icon.svg")
	if err != nil {
		t.Fatal(err)
	}
	if string(file[:4]) != "icns" || binary.BigEndian.Uint32(file[4:]) != uint32(len(file)) {
		t.Fatalf("begins with % x, has %d octets", file[:8], len(file))
	}
	var kinds []string
	pixels := sha256.New()
	for rest := file[8:]; len(rest) > 0; {
		length := binary.BigEndian.Uint32(rest[4:])
		kind, data := string(rest[:4]), rest[8:length]
		rest = rest[length:]
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		side := img.Bounds().Dx()
		if img.Bounds().Dy() != side || side != map[string]int{"ic11": 32, "ic12": 64, "ic07": 128, "ic13": 256, "ic08": 256, "ic14": 512, "ic09": 512}[kind] {
			t.Errorf("%s has %v", kind, img.Bounds())
		}
		kinds = append(kinds, kind)
		for y := range side {
			for x := range side {
				c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
				pixels.Write([]byte{c.R, c.G, c.B, c.A})
			}
		}
		at := func(x, y int) color.Color { return color.NRGBAModel.Convert(img.At(x*side/32, y*side/32)) }
		if at(0, 0) != (color.NRGBA{255, 255, 255, 0}) || at(4, 16) != (color.NRGBA{255, 255, 255, 255}) {
			t.Errorf("%s has %v in the corner, %v inside", kind, at(0, 0), at(4, 16))
		}
		if side >= 128 && at(16, 22) != (color.NRGBA{0x0b, 0x57, 0xd0, 255}) { // the lower edge of the letter
			t.Errorf("%s has %v on the line", kind, at(16, 22))
		}
	}
	if len(kinds) != 7 || len(slices.Compact(slices.Sorted(slices.Values(kinds)))) != 7 {
		t.Errorf("has %q", kinds)
	}
	if got, want := hex.EncodeToString(pixels.Sum(nil)), "0630187afd486a5af1fe0894e5943b705114e96fe6def853b1ab5cc4bd846573"; got != want {
		t.Errorf("the pixels are %s, want %s: has the icon changed, or does this processor draw another one?", got, want)
	}
}

func TestADrawingThatIsNotUnderstood(t *testing.T) {
	form := func(d string) string {
		return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><style>path{fill:none;stroke:#0b57d0;stroke-width:2.6;stroke-linecap:round;stroke-linejoin:round}</style><path d="` + d + `"/></svg>`
	}
	file := filepath.Join(t.TempDir(), "icon.svg")
	for text, want := range map[string]string{
		form("M1 1c1 1 2 2 3 3m-1 0L2 2l.5-.5H1h1V2v1.5C1 1 2 2 3 3"): "",
		form("M1 1z"): `"z"`, form("M1 1A2"): `"A"`, form("1 1"): `""`, form("M1"): "ends within M", form("M1 1L# 1"): `"#"`,
		strings.Replace(form("M1 1h1"), "round", "butt", 1):                    "one path",
		strings.Replace(form("M1 1h1"), "</svg>", `<path d="M0 0"/></svg>`, 1): "one path",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readDrawing(file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
