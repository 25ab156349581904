package main

import (
	"os"
	"os/exec"
	"testing"
)

func TestProcValue(t *testing.T) {
	const text = "Name:\tx\nVmHWM:\t    2048 kB\nVmHWMx: 3\nwchar: 17\n"
	for key, want := range map[string]int{"VmHWM": 2048, "wchar": 17, "rchar": 0, "Name": 0} {
		if got := procValue(text, key); got != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
}

// What a child of the child writes counts too, and none of what is read.
func TestAwaitEndTellsWhatWasWritten(t *testing.T) {
	cmd := exec.Command("sh", "-c", "head -c 100000 /dev/zero >\"$0\"; printf 12345", t.TempDir()+"/out")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	written := awaitEnd(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		t.Fatal("the child was reaped, or failed:", err)
	}
	if written != 100_005 {
		t.Errorf("%d bytes written, want 100005", written)
	}
}

func TestPeakOf(t *testing.T) {
	if own := peakOf(os.Getpid()); own < 1024 {
		t.Errorf("own peak %d KiB", own)
	}
	if gone := peakOf(1 << 30); gone != 0 {
		t.Errorf("peak of no process: %d KiB", gone)
	}
}
