package mailstore

import "database/sql"

// SQLiteVersion is the version of SQLite that is built in, like "3.51.0".
func SQLiteVersion() string {
	version := "unknown"
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return version
	}
	defer db.Close()
	_ = db.QueryRow(`SELECT sqlite_version()`).Scan(&version) // stays unknown
	return version
}
