package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sync"

	"github.com/weftws/weft/negotiate"
)

// A File is a memory in a file that any number of processes use at once. It is safe for concurrent use.
//
// Reading costs a stat while the file is as it was last seen. A change is on disk when Put or Delete returns: under an advisory lock
// (a file beside it, with ".lock" appended) the file is read, merged, written anew beside the old one, and put in its place. So
// readers need no lock, and a crash leaves either the old file or the new.
//
// What cannot be written stays in this process and is written with the next change that can be.
type File struct {
	path  string
	limit int
	fail  func(error)

	writing chan struct{} // holds a token while somebody writes

	mu      sync.Mutex
	seen    fs.FileInfo // of the file that cached was read from; nil: there was none
	loaded  bool
	cached  map[negotiate.Key]negotiate.Entry // Invariant: never changed, but replaced
	unsaved map[negotiate.Key]unsaved
	puts    uint64
}

// An unsaved entry has been put and not yet been written. put tells it from a later one with the same key.
type unsaved struct {
	entry negotiate.Entry
	put   uint64
}

// FileOptions are for NewFile. The zero value is right for most.
type FileOptions struct {
	// Limit is how many origins the file holds at most; 0: DefaultLimit.
	Limit int
	// OnError is told what went wrong: a file that is no memory (it is put aside with ".bad" appended, and a new one begun), or one that
	// cannot be read, locked or written. It must not block. Nil: nobody is told.
	OnError func(error)
}

// NewFile returns the memory in the file path. It need not exist; it is made with the mode 0600.
func NewFile(path string, o FileOptions) *File {
	f := &File{path: path, limit: o.Limit, fail: o.OnError, writing: make(chan struct{}, 1), unsaved: make(map[negotiate.Key]unsaved)}
	if f.limit <= 0 {
		f.limit = DefaultLimit
	}
	if f.fail == nil {
		f.fail = func(error) {}
	}
	return f
}

// Get implements negotiate.Store.
func (f *File) Get(k negotiate.Key) (negotiate.Entry, bool) {
	e, ok := f.current()[k]
	return e, ok
}

// Put implements negotiate.Store.
func (f *File) Put(k negotiate.Key, e negotiate.Entry) {
	f.mu.Lock()
	if old, ok := f.unsaved[k]; ok {
		e = negotiate.Merge(old.entry, e)
	}
	f.puts++
	f.unsaved[k] = unsaved{e, f.puts}
	f.mu.Unlock()
	f.change(nil)
}

// Delete implements negotiate.Store.
func (f *File) Delete(k negotiate.Key) {
	f.mu.Lock()
	delete(f.unsaved, k)
	f.mu.Unlock()
	f.change(func(entries map[negotiate.Key]negotiate.Entry) { delete(entries, k) })
}

// List implements negotiate.Store.
func (f *File) List() []negotiate.Item { return items(f.current(), f.limit) }

// current returns what the file says, read again if it has changed, and what could not be written to it.
func (f *File) current() map[negotiate.Key]negotiate.Entry {
	info, err := os.Stat(f.path)
	if err != nil {
		info = nil
	}
	if !f.hasSeen(info) {
		entries, read, err := f.lockAndRead()
		if err != nil {
			f.fail(err)
			if read == nil {
				read = info // say it once
			}
		}
		f.saw(entries, read)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.unsaved) == 0 {
		return f.cached
	}
	return merged(f.cached, f.unsaved)
}

// change writes the file with what is unsaved and after edit, if not nil.
func (f *File) change(edit func(map[negotiate.Key]negotiate.Entry)) {
	f.writing <- struct{}{}
	defer func() { <-f.writing }()
	f.mu.Lock()
	taken := maps.Clone(f.unsaved)
	f.mu.Unlock()
	if len(taken) == 0 && edit == nil {
		return // whoever wrote before has written it too
	}
	if err := f.rewrite(taken, edit); err != nil {
		f.fail(err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, e := range taken {
		if f.unsaved[k].put == e.put {
			delete(f.unsaved, k)
		}
	}
}

// rewrite replaces the file. Only one goroutine is in it at a time.
func (f *File) rewrite(add map[negotiate.Key]unsaved, edit func(map[negotiate.Key]negotiate.Entry)) error {
	unlock, err := lock(f.path + ".lock")
	if err != nil {
		return fmt.Errorf("memory: lock of %s: %w", f.path, err)
	}
	defer unlock()
	entries, info, err := f.read()
	if _, bad := errors.AsType[*notMemoryError](err); bad {
		if !f.hasSeen(info) {
			f.fail(err)
		}
		err = os.Rename(f.path, f.path+".bad")
	}
	if err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	entries = merged(entries, add)
	if edit != nil {
		edit(entries)
	}
	list := items(entries, f.limit)
	if info, err = f.write(list); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	f.saw(byKey(list), info)
	return nil
}

// saw notes what the file holds.
func (f *File) saw(entries map[negotiate.Key]negotiate.Entry, info fs.FileInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cached, f.seen, f.loaded = entries, info, true
}

func (f *File) hasSeen(info fs.FileInfo) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loaded && same(info, f.seen)
}

// merged returns a new map with what a and b hold.
func merged(a map[negotiate.Key]negotiate.Entry, b map[negotiate.Key]unsaved) map[negotiate.Key]negotiate.Entry {
	out := make(map[negotiate.Key]negotiate.Entry, len(a)+len(b))
	maps.Copy(out, a)
	for k, u := range b {
		out[k] = u.entry
		if old, ok := a[k]; ok {
			out[k] = negotiate.Merge(old, u.entry)
		}
	}
	return out
}

func items(entries map[negotiate.Key]negotiate.Entry, limit int) []negotiate.Item {
	list := make([]negotiate.Item, 0, len(entries))
	for k, e := range entries {
		list = append(list, negotiate.Item{Key: k, Entry: e})
	}
	return negotiate.Bound(list, limit)
}

func byKey(list []negotiate.Item) map[negotiate.Key]negotiate.Entry {
	entries := make(map[negotiate.Key]negotiate.Entry, len(list))
	for _, i := range list {
		entries[i.Key] = i.Entry
	}
	return entries
}

// same reports whether two looks at the file saw the same one. Every change makes a new file.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
