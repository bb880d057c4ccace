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
	"regexp"
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

// theShell is what a browser gets before it is known: the files of the page by their paths.
type theShell struct {
	files   map[string]file
	version string // of all of them: the folder that the page names them in
}

// shellFiles reads the files of the page. They are compressed for the first browser that
// asks: commands open an agent without one.
var shellFiles = sync.OnceValue(func() theShell {
	files, all := map[string]file{}, sha256.New()
	_ = fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || types[path.Ext(name)] == "" {
			return err
		}
		data, err := static.ReadFile(name)
		files[name[len("static"):]] = newFile(data, types[path.Ext(name)])
		_, _ = all.Write(data)
		return err
	})
	version := hex.EncodeToString(all.Sum(nil)[:8])
	page := bytes.ReplaceAll(files["/index.html"].data, []byte(`="/`), []byte(`="/`+version+`/`))
	files["/"] = newFile(page, types[".html"])
	delete(files, "/index.html")
	return theShell{files, version}
})

func newFile(data []byte, kind string) file {
	sum := sha256.Sum256(data)
	return file{data, compressed(data), `"` + hex.EncodeToString(sum[:8]) + `"`, kind}
}

// versioned is a path in a folder named after a version of the page.
var versioned = regexp.MustCompile(`^/[0-9a-f]{16}(/[^/]+)$`)

// find returns the file of a path, and whether it can never change. A page that was loaded
// before an update gets today's files.
func (s theShell) find(name string) (f file, forever, ok bool) {
	if m := versioned.FindStringSubmatch(name); m != nil {
		forever, name = strings.HasPrefix(name, "/"+s.version+"/"), m[1]
	}
	f, ok = s.files[name]
	return f, forever, ok
}

// shell serves the files of the page, which hold nothing of anyone.
func shell() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, forever, ok := shellFiles().find(r.URL.Path)
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "There is no such page.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", f.kind)
		if forever {
			w.Header().Set("Cache-Control", "max-age=31536000, immutable") // RFC 8246
		} else {
			w.Header().Set("Cache-Control", "no-cache")
		}
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
