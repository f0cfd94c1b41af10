package memory

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockToRead: a file that somebody has open cannot be replaced.
const lockToRead = true

// lock waits until this process alone holds the lock file. The lock ends with the process, too.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	h := windows.Handle(file.Fd())
	if err := windows.LockFileEx(h, windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped)); err != nil {
		file.Close()
		return nil, err
	}
	return func() {
		windows.UnlockFileEx(h, 0, 1, 0, new(windows.Overlapped))
		file.Close()
	}, nil
}

// syncDir: a rename lasts.
func syncDir(string) {}
