package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static/*.html static/*.js static/*.css static/*.svg
var static embed.FS

// types are set by hand: Windows takes them from its registry, which anyone can change.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}

// file is one of the page, as it is served.
type file struct {
	data, small []byte // small is data as gzip has it
	tag, kind   string
}

// shellFiles are the files of the page by their paths. They are compressed for the first
// browser that asks: commands open an agent without one.
var shellFiles = sync.OnceValue(func() map[string]file {
	files := map[string]file{}
	_ = fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || types[path.Ext(name)] == "" {
			return err
		}
		data, err := static.ReadFile(name)
		sum := sha256.Sum256(data)
		files[name[len("static"):]] = file{data, compressed(data), `"` + hex.EncodeToString(sum[:8]) + `"`, types[path.Ext(name)]}
		return err
	})
	files["/"] = files["/index.html"]
	return files
})

// shell serves the files of the page, which hold nothing of anyone.
func shell() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := shellFiles()[r.URL.Path]
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "There is no such page.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", f.kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", f.tag)
		w.Header().Set("Vary", "Accept-Encoding")
		data := f.data
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			data = f.small
			w.Header().Set("Content-Encoding", "gzip")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}

func compressed(data []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // into memory: nothing can fail
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}
