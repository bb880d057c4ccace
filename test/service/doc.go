// Package service tries the background service on a real Debian: each script of
// testdata has a machine of its own, booted with its own systemd by
// systemd-nspawn, with the program of this tree in /usr/local/bin and an account
// for ann. A script says what a person types and what is answered.
//
// It needs root, systemd-nspawn and debootstrap, and is skipped without them
// unless POPBRIDGE_REAL=required. The tree that debootstrap makes (a quarter of a
// gigabyte) is kept in the folder for temporary files; nothing in it is changed.
package service
