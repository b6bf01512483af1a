package main

import (
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// Limits of one session on AWS; the process limit is this program's own.
const (
	awsCPUs   = 2
	awsMemory = 8 << 30
	awsDisk   = 10 << 30
	processes = 1024 // at some 5 MiB for a small process, about what the memory limit allows
)

// hostLimits are AWS's limits of one session, lowered to what this host has. Sessions share the host: the limits bound one of them, they reserve nothing.
func hostLimits(dataDir string) sandbox.Limits {
	l := sandbox.Limits{CPUs: min(awsCPUs, float64(runtime.NumCPU())), Memory: awsMemory, Disk: awsDisk, PIDs: processes}
	var memory unix.Sysinfo_t
	if err := unix.Sysinfo(&memory); err == nil {
		l.Memory = min(l.Memory, int64(memory.Totalram)*int64(memory.Unit))
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dataDir, &disk); err == nil {
		l.Disk = min(l.Disk, int64(disk.Bavail)*disk.Bsize)
	}
	return l
}
