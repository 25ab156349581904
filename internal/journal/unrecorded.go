package journal

import "stretcher/internal/text/failure"

// mark tells those who ask for the run's dest that the history does not know of it,
// as long as that is so.
func mark(j *Journal) {
	if !j.keeps || j.run.Dest == "" {
		return
	}
	err := j.dir.SetUnrecorded(j.run.Dest, !j.remembers())
	if err != nil && !j.remembers() && !j.run.Finished.IsZero() {
		j.log.Warn(failure.Sayf("status does not know of this run: %v", err))
	}
}
