//go:build unix && !aix && !solaris

package memory

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockToRead: a file that is open can be replaced.
const lockToRead = false

// lock waits until this process alone holds the lock file. The lock ends with the process, too.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, err
		}
	}
}

// syncDir makes a rename last. Some file systems cannot; nothing can be done about it.
func syncDir(dir string) {
	if dir == "" {
		dir = "."
	}
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
