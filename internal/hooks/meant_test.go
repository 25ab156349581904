package hooks

import "testing"

// TestMeant: a name that would never run is told from one of somebody's own.
func TestMeant(t *testing.T) {
	lists := Names.Lists
	events := func(n Names) []string {
		if n.P2 == "" {
			return nil
		}
		return []string{n.P2}
	}
	for _, tc := range []struct {
		words func(Names) []string
		name  string
		word  string
		looks bool
	}{
		{lists, "pre_sync", "", false},
		{lists, "pre_pack", "", false},
		{lists, "post_pakc", "post_pack", true},
		{lists, "per_pack", "pre_pack", true},
		{lists, "post-pack", "post_pack", true},
		{lists, "PostPack", "post_pack", true},
		{lists, "post_provison", "post_provision", true},
		{lists, "pre_hotswap", "pre_sync", true},
		{lists, "post_hotswap", "post_sync", true},
		{lists, "post_extraction", "post_extract", true},
		{lists, "pre_flight", "pre_fetch", true},
		{lists, "before_launch", "post_sync", true},
		{lists, "after_auth_fail", "auth_fail", true},
		{lists, "createContainer", "post_extract", true},
		{lists, "Init", "init", true},
		{lists, "post", "post_sync", true},
		{lists, "failure", "finish", true},
		{lists, "verify", "", false},
		{lists, "finsh", "", false},
		{lists, "unit", "", false},
		{lists, "pack", "", false},
		{lists, "repack", "", false},
		{lists, "smoke_test", "", false},
		{lists, "prepare", "", false},
		{lists, "postgres", "", false},
		{events, "before_launch", "", false},
		{events, "befor_launch", "before_launch", true},
		{events, "BEFORE_LAUNCH", "before_launch", true},
		{events, "bfore-lanch", "before_launch", true},
		{events, "beforelaunch", "before_launch", true},
		{events, "pre_sync", "before_uninstall", true},
		{events, "post_pack", "after_install", true},
		{events, "poststart", "after_launch", true},
		{events, "finish", "", true}, // a point without an event
		{events, "lib", "", false},
		{events, "exec", "", false},
		{events, ".git", "", false},
	} {
		word, looks := Meant(tc.name, tc.words)
		if word != tc.word || looks != tc.looks {
			t.Errorf("%q: %q, %v; want %q, %v", tc.name, word, looks, tc.word, tc.looks)
		}
	}
}
