//go:build !windows && (!unix || aix || solaris)

package memory

const lockToRead = false

// lock does nothing where there are no advisory locks: of two processes that write at the same moment, one's finding is lost.
func lock(string) (unlock func(), err error) { return func() {}, nil }

func syncDir(string) {}
