// Package testparts finds and starts the real servers and programs that tests
// talk to: nginx, rsync, minisign, Consul, Serf, an S3 server (versitygw), a GCS
// server (fake-gcs-server) and podman. Only tests import it.
//
// A missing part skips the test on a user's machine and fails it when the
// environment has CI=true: a skipped test must not hide a broken set-up.
package testparts
