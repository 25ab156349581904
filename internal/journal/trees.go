package journal

import (
	"os"

	"stretcher/internal/text/runid"
)

// Tree is the file in which the run records dest as it left it; "" when
// nothing is remembered.
func (j *Journal) Tree() string { return j.TreeOf(j.run.ID) }

// TreeOf is the file in which a run has recorded dest. It is made from the
// run's id: no path of the database is used.
func (j *Journal) TreeOf(run string) string {
	if j.dir == nil || !runid.Is(run) {
		return ""
	}
	return j.dir.Tree(run)
}

// KeepTree makes recorded, the file of this run or of the one that deployed
// what is current, that of this run, which is good. Of each dest the newest is
// kept: no other is ever read.
func (j *Journal) KeepTree(recorded, fingerprint string) error {
	name := j.Tree()
	if recorded == "" || name == "" {
		return nil
	}
	if recorded != name {
		if err := os.Link(recorded, name); err != nil {
			return err
		}
	}
	if old, ok := j.LastGood(j.run.Dest); ok && old.ID != j.run.ID && old.Tree != "" {
		_ = os.Remove(j.TreeOf(old.ID))
	}
	j.run.Tree, j.run.Fingerprint = name, fingerprint // written by Finish
	return nil
}

// DropTree forgets what this run has recorded: it has failed.
func (j *Journal) DropTree() {
	if name := j.Tree(); name != "" {
		_ = os.Remove(name)
	}
}
