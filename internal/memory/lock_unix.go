//go:build unix && !aix && !solaris

package memory

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	canLock    = true
	lockToRead = false // a file that is open can be replaced
)

func tryLock(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// unlockFile: closing it does.
func unlockFile(*os.File) {}
