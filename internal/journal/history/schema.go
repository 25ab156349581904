package history

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations[i] leads from user_version i to i+1. One that has been released
// is never edited: a change is a new one at the end.
//
// Times are microseconds since 1970, 0 for none. touched is the run's last
// sign of life; staging holds quoted paths, see joinPaths. handled stands apart
// from runs because it outlives them, see Store.Prune.
//
// begun and moved are counts, of one counter that every write of a run
// advances: that of its first write and that of its last, which is its end or
// the last sign of life before its death. They order runs, since a clock may
// be set; what older programs wrote has only its times to go by.
//
// elapsed is in microseconds, by a clock that nobody sets; 0 = not known, as of
// what older programs wrote. forgotten counts the runs that Prune has removed, so
// that counts of runs never go back.
var migrations = []string{`
CREATE TABLE runs (
	id          TEXT PRIMARY KEY,
	started     INTEGER NOT NULL,
	finished    INTEGER NOT NULL DEFAULT 0,
	touched     INTEGER NOT NULL,
	name        TEXT NOT NULL,
	version     TEXT NOT NULL,
	dest        TEXT NOT NULL,
	url         TEXT NOT NULL,
	result      TEXT NOT NULL,
	step        TEXT NOT NULL,
	exit        INTEGER NOT NULL,
	error       TEXT NOT NULL,
	event       TEXT NOT NULL,
	event_key   TEXT NOT NULL,
	user        TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	tree        TEXT NOT NULL,
	pid         INTEGER NOT NULL,
	proc_start  TEXT NOT NULL,
	log         TEXT NOT NULL,
	staging     TEXT NOT NULL
) STRICT;
CREATE INDEX runs_started ON runs (started);
CREATE INDEX runs_dest ON runs (dest, started);
CREATE INDEX runs_running ON runs (result) WHERE result = 'running';
CREATE TABLE steps (
	run       TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
	seq       INTEGER NOT NULL,
	point     TEXT NOT NULL,
	dialect   TEXT NOT NULL,
	name      TEXT NOT NULL,
	started   INTEGER NOT NULL,
	duration  INTEGER NOT NULL,
	exit      INTEGER NOT NULL,
	signal    TEXT NOT NULL,
	timed_out INTEGER NOT NULL,
	offset    INTEGER NOT NULL,
	PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE handled (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	key TEXT NOT NULL UNIQUE,
	run TEXT NOT NULL
) STRICT;
`, `
ALTER TABLE runs ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET begun = n
	FROM (SELECT id AS run, row_number() OVER (ORDER BY started, id) AS n FROM runs) WHERE run = id;
UPDATE runs SET moved = n
	FROM (SELECT id AS run, row_number() OVER (ORDER BY iif(finished = 0, touched, finished), started, id) AS n
		FROM runs) WHERE run = id;
DROP INDEX runs_started;
DROP INDEX runs_dest;
CREATE INDEX runs_begun ON runs (begun);
CREATE INDEX runs_moved ON runs (moved);
CREATE INDEX runs_dest_begun ON runs (dest, begun);
CREATE INDEX runs_dest_moved ON runs (dest, moved);
`, `
CREATE INDEX runs_died ON runs (begun) WHERE result = 'died';
`, `
ALTER TABLE steps ADD COLUMN stage TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN why TEXT NOT NULL DEFAULT '';
`, `
ALTER TABLE runs ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN signers TEXT NOT NULL DEFAULT '';
`, `
ALTER TABLE runs ADD COLUMN serial INTEGER NOT NULL DEFAULT 0;
`, `
ALTER TABLE runs ADD COLUMN back TEXT NOT NULL DEFAULT '';
`, `
ALTER TABLE runs ADD COLUMN elapsed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN fetched INTEGER NOT NULL DEFAULT 0;
CREATE TABLE forgotten (
	dest    TEXT NOT NULL,
	result  TEXT NOT NULL,
	runs    INTEGER NOT NULL,
	fetched INTEGER NOT NULL,
	PRIMARY KEY (dest, result)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER runs_forgotten AFTER DELETE ON runs WHEN old.result IN ('good', 'failed', 'refused', 'died')
BEGIN
	INSERT INTO forgotten VALUES (old.dest, old.result, 1, old.fetched)
	ON CONFLICT (dest, result) DO UPDATE SET runs = runs + 1, fetched = fetched + excluded.fetched;
END;
`, `
DROP TRIGGER runs_forgotten;
CREATE TRIGGER runs_forgotten AFTER DELETE ON runs WHEN old.result IN ('good', 'failed', 'refused', 'stopped', 'died')
BEGIN
	INSERT INTO forgotten VALUES (old.dest, old.result, 1, old.fetched)
	ON CONFLICT (dest, result) DO UPDATE SET runs = runs + 1, fetched = fetched + excluded.fetched;
END;
`}

// userVersion is 0 for a database that holds nothing yet.
func userVersion(ctx context.Context, db querier) (v int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if v > len(migrations) {
		return v, fmt.Errorf("schema version %d is newer than this program knows (%d)", v, len(migrations))
	}
	return v, nil
}

// upgrade leads from one schema version to another.
func upgrade(ctx context.Context, db querier, from, to int) error {
	for v := from; v < to; v++ {
		if _, err := db.ExecContext(ctx, migrations[v]); err != nil {
			return fmt.Errorf("migrate to schema version %d: %w", v+1, err)
		}
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", to)); err != nil {
		return fmt.Errorf("write schema version: %w", err)
	}
	return nil
}

// migrate brings the schema up to date, in one transaction: of several
// processes that find an old one, the first does it all.
func migrate(ctx context.Context, db *sql.DB) error {
	v, err := userVersion(ctx, db)
	if err != nil || v == len(migrations) {
		return err
	}
	// Once is enough, the file remembers it; not possible in a transaction.
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return fmt.Errorf("set journal mode: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin migration: %w", err)
	}
	defer tx.Rollback() // to no effect once committed
	if v, err = userVersion(ctx, tx); err != nil {
		return err
	}
	if err := upgrade(ctx, tx, v, len(migrations)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit migration: %w", err)
	}
	return nil
}
