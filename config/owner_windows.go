package config

import "io/fs"

// keepOwner has nothing to do: a new file has the access list of its folder.
func keepOwner(string, fs.FileInfo) error { return nil }
