package operations

import (
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// BackupFile is the name of the file that remembers the last backup, in the data folder.
const BackupFile = "backup.json"

// LastBackup is the last backup that was made, and why the one after it failed.
type LastBackup struct {
	Dir      string     `json:"dir"`
	At       time.Time  `json:"at"` // when it was complete
	Users    []Backup   `json:"users"`
	FailedAt *time.Time `json:"failed_at"` // null: none failed after it
	Error    string     `json:"error"`
	Hint     string     `json:"hint"`
}

// ReadLastBackup returns the last backup of a data folder, nil where none is known. An
// agent may run.
func ReadLastBackup(dataDir string) *LastBackup {
	data, err := atomicfile.ReadFile(filepath.Join(dataDir, BackupFile))
	var last LastBackup
	if err != nil || json.Unmarshal(data, &last) != nil || !filepath.IsAbs(last.Dir) {
		return nil
	}
	if last.Users == nil {
		last.Users = []Backup{}
	}
	return &last
}

// lastDir is the folder of the last backup. It has to hold one: where a disk is not
// connected its folder would be made on another one.
func (l *Local) lastDir() (string, error) {
	other := "`" + l.users.Command("backup DIR") + "`"
	last := ReadLastBackup(l.users.DataDir)
	if last == nil {
		return "", fault.New(fault.Config, "no backup was made yet, so its folder is not known", "name one: "+other)
	}
	saved, err := savedUsers(last.Dir)
	if err != nil {
		return "", err
	}
	if len(saved) == 0 {
		return "", fault.New(fault.NotFound, "the folder of the last backup is not there, or is empty: "+last.Dir, "connect the disk that it is on, and try again; or choose another folder: "+other)
	}
	return last.Dir, nil
}

// noteBackup remembers a backup. A folder is remembered once one into it was complete;
// what fails there later is remembered as well.
func (l *Local) noteBackup(dir string, done []Backup, failed error) {
	now := time.Now().UTC()
	note := &LastBackup{Dir: dir, At: now, Users: done}
	if failed != nil {
		if note = ReadLastBackup(l.users.DataDir); note == nil || note.Dir != dir {
			return
		}
		note.FailedAt = &now
		note.Error, note.Hint = said(failed)
	}
	data, err := json.Marshal(note)
	if err == nil {
		err = atomicfile.Write(filepath.Join(l.users.DataDir, BackupFile), 0o600, data)
	}
	if err != nil { // the backup is what it is
		l.users.Log.Warn().Err(err).Msg("the folder of the backup cannot be remembered; name it again the next time")
	}
}
