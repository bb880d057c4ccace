package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"regexp"
	"strconv"
)

// icnsTypes are the entries of an .icns that hold a PNG, and the pixels of their sides;
// ic11 to ic14 are those of screens with two pixels for a point.
var icnsTypes = []struct {
	kind string
	side int
}{{"ic11", 32}, {"ic12", 64}, {"ic07", 128}, {"ic13", 256}, {"ic08", 256}, {"ic14", 512}, {"ic09", 512}}

// icns draws an icon in all sizes, and puts them into one file: "icns" and its length,
// then the type, length and PNG of each. Lengths count the eight octets before the data.
func icns(svg string) ([]byte, error) {
	d, err := readDrawing(svg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", svg, err)
	}
	var entries []byte
	drawn := map[int][]byte{}
	for _, t := range icnsTypes {
		if drawn[t.side] == nil {
			var b bytes.Buffer
			if err := png.Encode(&b, d.draw(t.side)); err != nil {
				return nil, err
			}
			drawn[t.side] = b.Bytes()
		}
		entries = appendEntry(entries, t.kind, drawn[t.side])
	}
	return appendEntry(nil, "icns", entries), nil
}

func appendEntry(to []byte, kind string, data []byte) []byte {
	to = binary.BigEndian.AppendUint32(append(to, kind...), uint32(8+len(data)))
	return append(to, data...)
}

// drawing is what icon.svg is: one path, drawn with a round pen of one colour and width
// on 32 by 32 units.
type drawing struct {
	colour color.NRGBA
	width  float64
	lines  [][2]point
}

type point struct{ x, y float64 }

var (
	drawingForm = regexp.MustCompile(`^<svg [^>]*viewBox="0 0 32 32"><style>path\{fill:none;stroke:#([0-9a-f]{6});stroke-width:([0-9.]+);stroke-linecap:round;stroke-linejoin:round\}[^<]*</style><path d="([^"]*)"/></svg>\s*$`)
	pathToken   = regexp.MustCompile(`[A-Za-z]|-?[0-9]*\.?[0-9]+|[^\s,]`)
)

func readDrawing(file string) (*drawing, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m := drawingForm.FindSubmatch(text)
	if m == nil {
		return nil, errors.New("is not one path with a round pen, on 32 by 32 units")
	}
	rgb, err := strconv.ParseUint(string(m[1]), 16, 32)
	if err != nil {
		return nil, err
	}
	d := &drawing{colour: color.NRGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 255}}
	if d.width, err = strconv.ParseFloat(string(m[2]), 64); err != nil {
		return nil, err
	}
	d.lines, err = lines(pathToken.FindAllString(string(m[3]), -1))
	return d, err
}

// curvePieces is how many lines a curve is drawn with.
const curvePieces = 24

// lines are the straight lines of a path, which has the commands M, L, H, V and C, capital
// for places and small for ways.
func lines(tokens []string) (made [][2]point, err error) {
	var at point
	to := func(p point) {
		if p != at {
			made = append(made, [2]point{at, p})
		}
		at = p
	}
	command := ""
	number := func() float64 {
		if len(tokens) == 0 {
			err = fmt.Errorf("the path ends within %s", command)
			return 0
		}
		n, failed := strconv.ParseFloat(tokens[0], 64)
		if failed != nil {
			err = failed
		}
		tokens = tokens[1:]
		return n
	}
	for len(tokens) > 0 && err == nil {
		if c := tokens[0][0]; c >= 'A' {
			command, tokens = tokens[0], tokens[1:]
		}
		from := at // what small commands count from
		if command != "" && command[0] < 'a' {
			from = point{}
		}
		pair := func() point { return point{from.x + number(), from.y + number()} }
		switch command {
		case "M", "m":
			at = pair()
		case "L", "l":
			to(pair())
		case "H", "h":
			to(point{from.x + number(), at.y})
		case "V", "v":
			to(point{at.x, from.y + number()})
		case "C", "c":
			start, one, two, end := at, pair(), pair(), pair()
			for i := 1; i <= curvePieces; i++ {
				t := float64(i) / curvePieces
				a, b, c := between(start, one, t), between(one, two, t), between(two, end, t)
				to(between(between(a, b, t), between(b, c, t), t))
			}
		default:
			return nil, fmt.Errorf("the path has the command %q, which is not drawn", command)
		}
	}
	return made, err
}

// times multiplies, and rounds at once: elsewhere than on amd64 Go may fuse a product with
// the sum that it is part of, and an icon would depend on the machine that draws it.
func times(a, b float64) float64 { return float64(a * b) }

func mix(a, b, t float64) float64 { return a + times(b-a, t) }

func between(a, b point, t float64) point { return point{mix(a.x, b.x, t), mix(a.y, b.y, t)} }

func length(x, y float64) float64 { return math.Sqrt(times(x, x) + times(y, y)) }

// draw draws the icon on a white square with round corners, as macOS has them: 824 of 1024
// wide. The 32 units of the drawing take 640 of 1024.
func (d *drawing) draw(side int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	unit := times(float64(side), 640.0/1024/32) // in pixels
	for y := range side {
		for x := range side {
			// From the middle of the icon to that of the pixel, in units.
			p := point{(float64(x) + 0.5 - float64(side)/2) / unit, (float64(y) + 0.5 - float64(side)/2) / unit}
			line := covered(d.distance(point{p.x + 16, p.y + 16})-d.width/2, unit)
			channel := func(c uint8) uint8 { return uint8(mix(255, float64(c), line) + 0.5) }
			img.SetNRGBA(x, y, color.NRGBA{channel(d.colour.R), channel(d.colour.G), channel(d.colour.B), uint8(times(255, covered(square(p), unit)) + 0.5)})
		}
	}
	return img
}

// covered is how much of a pixel is within a shape whose edge is so many units from its
// middle, negative on the inside.
func covered(distance, unit float64) float64 {
	return min(1, max(0, 0.5-times(distance, unit)))
}

// distance is how far a point is from the path.
func (d *drawing) distance(p point) float64 {
	nearest := math.Inf(1)
	for _, l := range d.lines {
		x, y := l[1].x-l[0].x, l[1].y-l[0].y
		along := (times(p.x-l[0].x, x) + times(p.y-l[0].y, y)) / (times(x, x) + times(y, y))
		on := between(l[0], l[1], min(1, max(0, along)))
		nearest = min(nearest, length(p.x-on.x, p.y-on.y))
	}
	return nearest
}

// square is how far a point is from the edge of the white square around the middle.
func square(p point) float64 {
	const half, corner = 412.0 / 1024 * 51.2, 185.0 / 1024 * 51.2 // the icon is 51.2 units wide
	x, y := math.Abs(p.x)-(half-corner), math.Abs(p.y)-(half-corner)
	return length(max(0, x), max(0, y)) + min(0, max(x, y)) - corner
}
