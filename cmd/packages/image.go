package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// object is one of JSON.
type object = map[string]any

// imageUser owns /data and runs the program: the first person of most systems.
const imageUser = 1000

// images writes a container image for each architecture of Linux, as an archive that
// holds both an OCI image layout (image-spec, image-layout.md) and the manifest.json of
// `docker save`, so that docker and podman of any age load it.
func (r *release) images(context.Context) error {
	for _, t := range r.targets {
		if t.os != "linux" {
			continue
		}
		file, err := os.Create(filepath.Join(r.out, r.name(t, "_image.tar")))
		if err != nil {
			return err
		}
		if err := errors.Join(r.image(file, t), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) image(w io.Writer, t target) error {
	var layer bytes.Buffer
	if err := r.layer(&layer, t); err != nil {
		return err
	}
	layout := archive{Writer: tar.NewWriter(w), at: r.date}
	blob := func(kind string, data []byte) object {
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		layout.add("blobs/sha256/"+digest, 0o644, data)
		return object{"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}
	}
	name := func(d object) string { return "blobs/sha256/" + d["digest"].(string)[len("sha256:"):] }
	layout.folder("blobs/", 0)
	layout.folder("blobs/sha256/", 0)
	layerBlob := blob("application/vnd.oci.image.layer.v1.tar", layer.Bytes())
	config := blob("application/vnd.oci.image.config.v1+json", layout.json(r.imageConfig(t, layerBlob["digest"])))
	manifest := blob("application/vnd.oci.image.manifest.v1+json", layout.json(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []object{layerBlob},
	}))
	manifest["annotations"] = object{"io.containerd.image.name": "docker.io/popbridge/popbridge:" + r.version, "org.opencontainers.image.ref.name": r.version}
	layout.add("oci-layout", 0o644, layout.json(object{"imageLayoutVersion": "1.0.0"}))
	layout.add("index.json", 0o644, layout.json(object{"schemaVersion": 2, "manifests": []object{manifest}}))
	layout.add("manifest.json", 0o644, layout.json([]object{
		{"Config": name(config), "RepoTags": []string{"popbridge/popbridge:" + r.version}, "Layers": []string{name(layerBlob)}},
	}))
	return layout.close()
}

// imageConfig says how the image is run. Healthcheck is Docker's; the rest is
// image-spec, config.md.
func (r *release) imageConfig(t target, layer any) object {
	return object{
		"created": r.date, "architecture": t.arch, "os": t.os,
		"rootfs": object{"type": "layers", "diff_ids": []any{layer}},
		"config": object{
			"User": "1000:1000", "WorkingDir": "/data", "StopSignal": "SIGTERM",
			"Env":        []string{"PATH=/usr/bin", "HOME=/data", "XDG_CONFIG_HOME=/data/config", "XDG_DATA_HOME=/data/share", "XDG_STATE_HOME=/data/state"},
			"Entrypoint": []string{"/usr/bin/popbridge"}, "Cmd": []string{"run"}, "Volumes": object{"/data": object{}},
			"Healthcheck": object{"Test": []string{"CMD", "/usr/bin/popbridge", "status", "--serving"}, "Interval": time.Minute, "Timeout": 10 * time.Second, "StartPeriod": 15 * time.Second},
			"Labels": object{
				"org.opencontainers.image.title": "popbridge", "org.opencontainers.image.description": summary, "org.opencontainers.image.version": r.version,
				"org.opencontainers.image.revision": r.commit, "org.opencontainers.image.source": "https://github.com/popbridge/popbridge", "org.opencontainers.image.licenses": "MIT",
			},
		},
	}
}

// layer writes all files of the image: the program, the certificates of the
// authorities that Mozilla trusts, licences, and the folder for config and mail.
func (r *release) layer(w io.Writer, t target) error {
	files := archive{Writer: tar.NewWriter(w), at: r.date}
	for _, dir := range []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "usr/", "usr/bin/", "usr/share/", "usr/share/doc/", "usr/share/doc/popbridge/"} {
		files.folder(dir, 0)
	}
	files.folder("data/", imageUser)
	files.add("etc/passwd", 0o644, []byte("root:x:0:0::/:/\npopbridge:x:1000:1000::/data:/\n"))
	files.add("etc/ssl/certs/ca-certificates.crt", 0o644, authorities())
	for _, e := range []entry{
		{"usr/bin/popbridge", r.program(t), 0o755}, {"usr/share/doc/popbridge/LICENSE", "LICENSE", 0o644},
		{"usr/share/doc/popbridge/THIRD-PARTY-LICENSES.txt", r.licenceFile(), 0o644}, {"usr/share/doc/popbridge/popbridge.cdx.json", r.materialsFile(t), 0o644},
	} {
		data, err := os.ReadFile(e.from)
		if err != nil {
			return err
		}
		files.add(e.path, e.mode, data)
	}
	return files.close()
}

// authorities are those whose certificates are trusted without a condition: a file
// cannot say one.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a Buffer never fails
		}
	}
	return text.Bytes()
}

// archive is a tar that remembers its first error.
type archive struct {
	*tar.Writer
	at  time.Time
	err error
}

func (a *archive) add(name string, mode fs.FileMode, data []byte) {
	a.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode), Size: int64(len(data))})
	if a.err == nil {
		_, a.err = a.Write(data)
	}
}

func (a *archive) folder(name string, owner int) {
	mode := int64(0o755)
	if owner != 0 {
		mode = 0o700
	}
	a.header(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode, Uid: owner, Gid: owner})
}

func (a *archive) header(h *tar.Header) {
	h.ModTime, h.Format = a.at, tar.FormatUSTAR
	if a.err == nil {
		a.err = a.WriteHeader(h)
	}
}

func (a *archive) json(v any) []byte {
	data, err := json.Marshal(v)
	a.err = errors.Join(a.err, err)
	return data
}

func (a *archive) close() error { return errors.Join(a.err, a.Close()) }
