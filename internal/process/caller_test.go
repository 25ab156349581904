package process

import "testing"

// TestUserName: who is not root may set SUDO_USER as he likes.
func TestUserName(t *testing.T) {
	env := map[string]string{"SUDO_USER": "alice", "USER": "bob"}
	getenv := func(name string) string { return env[name] }
	if got := userName(0, getenv); got != "alice" {
		t.Errorf("behind sudo: %q", got)
	}
	if got := userName(47123, getenv); got != "bob" {
		t.Errorf("uid 47123: %q", got)
	}
	delete(env, "USER")
	if got := userName(47123, getenv); got != "uid 47123" {
		t.Errorf("uid 47123 without a name: %q", got)
	}
}
