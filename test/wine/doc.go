// Package wine tries the program of Windows under wine, as `.ci/wine` starts it:
// POPBRIDGE_EXE names the program. The POP3 server and the mail client run outside.
package wine
