package main

import (
	"bytes"
	"fmt"
	"math"
)

// plot is a diagram of times over sizes, both axes logarithmic.
type plot struct {
	sizes []int
	lines []line
}

type line struct {
	name string
	us   []float64 // one for each size
}

const (
	plotWidth, plotHeight = 640, 400
	plotLeft, plotRight   = 60, 500
	plotTop, plotBottom   = 20, 360
)

var colors = []string{"#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#34495e", "#16a085"}

// draw returns the plot as SVG.
func (p plot) draw() []byte {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range p.lines {
		for _, us := range l.us {
			low, high = min(low, us), max(high, us)
		}
	}
	low, high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	first, last := math.Log10(float64(p.sizes[0])), math.Log10(float64(p.sizes[len(p.sizes)-1]))
	x := func(n int) float64 {
		return plotLeft + (plotRight-plotLeft)*(math.Log10(float64(n))-first)/max(last-first, 1)
	}
	y := func(us float64) float64 {
		return plotBottom - (plotBottom-plotTop)*(math.Log10(us)-low)/max(high-low, 1)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	for e := low; e <= high; e++ {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g µs</text>`+"\n",
			plotLeft, y(math.Pow(10, e)), plotRight, plotLeft-5, y(math.Pow(10, e))+4, math.Pow(10, e))
	}
	for _, n := range p.sizes {
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n",
			x(n), plotTop, plotBottom, x(n), plotBottom+16, n)
	}
	for i, l := range p.lines {
		color, path, end := colors[i%len(colors)], "", 0.0
		for k, us := range l.us {
			end = y(us)
			path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(k, 1)], x(p.sizes[k]), end)
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%.1f" fill="%s">%s</text>`+"\n",
			path, color, plotRight+8, end+4, color, l.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">messages in the mailbox</text>`+"\n</svg>\n", (plotLeft+plotRight)/2, plotBottom+34)
	return b.Bytes()
}
