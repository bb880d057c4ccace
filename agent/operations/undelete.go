package operations

import (
	"context"
	"maps"
	"slices"
)

func (l *Local) Expunged(ctx context.Context, q ExpungedQuery) ([]Expunged, error) {
	users, err := l.users.Names()
	if err != nil {
		return nil, err
	}
	list := []Expunged{}
	if q.User != "" {
		users = []string{q.User}
	}
	for _, name := range users {
		store, err := l.users.Store(ctx, name)
		if err != nil {
			return nil, err
		}
		found, err := store.Expunged(ctx, q.ExpungedQuery)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if q.Since != nil && m.ExpungedAt.Before(*q.Since) {
				continue
			}
			list = append(list, Expunged{name, m, m.ExpungedAt.Add(l.users.KeepExpunged)})
		}
	}
	slices.SortStableFunc(list, func(x, y Expunged) int { return y.ExpungedAt.Compare(x.ExpungedAt) })
	return list, nil
}

func (l *Local) Undelete(ctx context.Context, ask Undelete) ([]Restored, error) {
	ids := map[string][]int64{} // by user
	if ask.All != nil {
		found, err := l.Expunged(ctx, *ask.All)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			ids[m.User] = append(ids[m.User], m.ID)
		}
	} else {
		user, err := l.users.Only(ask.User, "it is not said whose messages these are")
		if err != nil {
			return nil, err
		}
		ids[user] = ask.IDs
	}
	list := []Restored{}
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		store, err := l.users.Store(ctx, name)
		if err != nil {
			return nil, err
		}
		restored, err := store.Undelete(ctx, ids[name])
		if err != nil {
			return nil, err
		}
		for _, r := range restored {
			list = append(list, Restored{name, r})
		}
	}
	return list, nil
}
