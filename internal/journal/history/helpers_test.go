package history

import (
	"context"
	"fmt"
)

// SetStep writes which step the run id is in.
func (s *Store) SetStep(ctx context.Context, id, step string) error {
	run, ok := s.begun(id)
	if !ok {
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	run.Step = step
	return s.Update(ctx, run)
}

// AddStep writes a step that has ended.
func (s *Store) AddStep(ctx context.Context, step Step) error {
	run, ok := s.begun(step.Run)
	if !ok {
		return fmt.Errorf("%w: %q", ErrNotFound, step.Run)
	}
	return s.Update(ctx, run, step)
}

func (s *Store) begun(id string) (Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run, ok := s.current[id]
	return run, ok
}
