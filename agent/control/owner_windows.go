package control

import "io/fs"

// ownedByUs trusts the folder's access list: the temporary folder belongs to
// one user on Windows.
func ownedByUs(fs.FileInfo) bool { return true }
