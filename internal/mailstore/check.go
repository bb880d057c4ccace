package mailstore

import "context"

func (s *Store) Check(ctx context.Context, o CheckOptions) ([]Problem, error) { return nil, nil }
