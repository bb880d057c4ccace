package operations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/ownership"
)

// backupOf is what a backup does for one user.
type backupOf struct {
	user    string
	store   *mailstore.Store // nil: it cannot be opened
	damage  error            // why
	renamed string           // the folder in the backup, of the name that the user had
	options mailstore.BackupOptions
}

// planBackup looks at the stores and at the folder, and writes nothing.
func planBackup(ctx context.Context, all *users.Stores, dir string, replace bool) ([]backupOf, error) {
	if f := ownership.Check(dir, ownership.Options{}); f != nil {
		return nil, fault.New(fault.Denied, "the backup folder is not safe: "+f.Why, f.Hint)
	}
	if err := checkBackupFolders(dir, mailstore.CheckOwn); err != nil {
		return nil, err
	}
	saved, err := savedUsers(dir)
	if err != nil {
		return nil, err
	}
	names, err := all.Names()
	if err != nil {
		return nil, err
	}
	var plan []backupOf
	ids := map[string]string{} // identity of a store -> user
	for _, name := range names {
		p := backupOf{user: name, options: mailstore.BackupOptions{User: name, Replace: replace}}
		p.store, err = all.Store(ctx, name)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			p.damage = err // the others are backed up, and the former backup of this one stays
		default:
			ids[p.store.ID()] = name
		}
		plan = append(plan, p)
	}
	if len(ids) == 0 && len(plan) > 0 {
		return nil, plan[0].damage
	}
	if err := foreignBackup(dir, saved, ids); err != nil && !replace {
		return nil, err
	}
	moved := map[string]bool{}
	for i := range plan {
		plan[i].findRenamed(saved, ids)
		moved[plan[i].renamed] = true
	}
	for _, p := range plan {
		if p.store == nil || moved[p.user] {
			continue
		}
		if err := p.store.CheckBackup(ctx, p.from(dir), p.options); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// findRenamed finds the backup of this store under the name that the user had.
func (p *backupOf) findRenamed(saved map[string]mailstore.BackupInfo, ids map[string]string) {
	if _, ok := saved[p.user]; ok || p.store == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(saved)) {
		id := saved[name].Store
		if id == p.store.ID() && ids[id] == p.user {
			p.renamed = name
		}
	}
}

// from is where the backup of the user is before it is brought up to date.
func (p *backupOf) from(dir string) string {
	if p.renamed != "" {
		return filepath.Join(dir, backupUsers, p.renamed)
	}
	return filepath.Join(dir, backupUsers, p.user)
}

// rename gives the backup the name that the user has now.
func (p *backupOf) rename(dir string) error {
	if p.renamed == "" {
		return nil
	}
	err := atomicfile.Rename(p.from(dir), filepath.Join(dir, backupUsers, p.user))
	return fault.Wrap(err, fault.Denied, "the backup of user "+p.renamed+" cannot get the name "+p.user, "check that this user may write to "+dir)
}

// run returns what was done.
func (p *backupOf) run(ctx context.Context, dir string, progress func(done, total int)) (Backup, error) {
	if p.store == nil {
		return Backup{User: p.user, Missing: []Problem{storeProblem(p.user, p.damage)}}, nil
	}
	p.options.Progress = progress
	report, err := p.store.Backup(ctx, filepath.Join(dir, backupUsers, p.user), p.options)
	return Backup{p.user, report, problemsOf(p.user, report.Missing)}, err
}

// savedUsers returns the users in a backup folder, which may not be there yet.
// What has no manifest is no backup yet.
func savedUsers(dir string) (map[string]mailstore.BackupInfo, error) {
	entries, err := os.ReadDir(filepath.Join(dir, backupUsers))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(err, fault.Denied, "the backup folder "+dir+" cannot be read", "check its owner and permissions")
	}
	saved := map[string]mailstore.BackupInfo{}
	for _, e := range entries {
		if !e.IsDir() || !config.ValidUser(e.Name()) {
			continue
		}
		info, err := mailstore.ReadBackup(filepath.Join(dir, backupUsers, e.Name()))
		switch {
		case err == nil:
			saved[e.Name()] = info
		case !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Corrupt): // CheckBackup says what is damaged
			return nil, err
		}
	}
	return saved, nil
}

// foreignBackup refuses a folder with the backup of another machine only: config
// and certificates in it would be replaced.
func foreignBackup(dir string, saved map[string]mailstore.BackupInfo, ids map[string]string) error {
	var others []string
	for name, info := range saved {
		if _, ours := ids[info.Store]; ours || info.Store == "" {
			return nil // one of an earlier version says not whose it is; CheckBackup looks at the mail
		}
		if info.Messages > 0 {
			others = append(others, fmt.Sprintf("user %s with %s, taken %s", name, fault.Count(info.Messages, "message"), info.TakenAt.Local().Format("2006-01-02 15:04")))
		}
	}
	if len(others) == 0 {
		return nil
	}
	slices.Sort(others)
	return fault.New(fault.Conflict, fmt.Sprintf("the backup in %s is of another data folder: %s", dir, strings.Join(others, "; ")),
		"choose another folder for this backup; where that one is not needed any more, repeat the command with --replace")
}

// checkBackupFolders refuses a folder that someone else has prepared.
func checkBackupFolders(dir string, check func(dir string, names ...string) error) error {
	names := []string{"", backupUsers, backupTLS, backupConfig}
	for _, sub := range []string{backupUsers, backupTLS} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(err, fault.Denied, "the backup folder "+dir+" cannot be read", "check that it is a folder of this user")
		}
		for _, e := range entries {
			names = append(names, filepath.Join(sub, e.Name()))
		}
	}
	return check(dir, names...)
}
