package memory

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// lock waits until this process alone holds the lock file. The lock ends with the process, too. Others hold it for milliseconds: who does not
// let go is not waited for.
func lock(path string) (unlock func(), err error) {
	if !canLock {
		return func() {}, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := tryLock(file)
		switch {
		case err == nil:
			return func() { unlockFile(file); file.Close() }, nil
		case !errors.Is(err, errLocked):
			file.Close()
			return nil, err
		case time.Since(began) >= lockPatience:
			file.Close()
			return nil, fmt.Errorf("another process has held it for %v", lockPatience)
		}
		time.Sleep(wait)
	}
}

const lockPatience = 5 * time.Second

var errLocked = errors.New("locked")
