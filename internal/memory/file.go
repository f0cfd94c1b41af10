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
// Reading costs a stat while the file is as it was last seen. What is Put is known to this process at once and written behind, by a goroutine
// that lives as long as there is something to write; what comes meanwhile goes into the next write. Under an advisory lock (a file beside
// it, with ".lock" appended) the file is read, merged, written anew beside the old one, and put in its place. So readers need no lock, and a
// process that dies leaves either the old file or the new. Who is about to end calls Flush.
//
// What cannot be written stays in this process and is written with the next change that can be.
//
//	Put --> unsaved --> writeBehind: change --written--> another while there is something unsaved; then gone
//	                                        --failed---> OnError; gone until the next Put
type File struct {
	path  string
	limit int
	fail  func(error)

	writing chan struct{} // holds a token while somebody writes to the file

	mu      sync.Mutex
	seen    fs.FileInfo // of the file that cached was read from; nil: there was none
	loaded  bool
	cached  map[negotiate.Key]negotiate.Entry // Invariant: never changed, but replaced
	unsaved map[negotiate.Key]unsaved         // Invariant: at most limit
	puts    uint64
	writes  uint64 // of the file, by this File
	behind  bool   // there is a goroutine in writeBehind
	told    uint64 // the puts that OnError knows not to be written
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
	// cannot be read, locked or written. It must not block, and is called by any goroutine. Nil: nobody is told.
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
	f.refresh()
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.cached[k]
	if u, put := f.unsaved[k]; put && ok {
		return negotiate.Merge(e, u.entry), true
	} else if put {
		return u.entry, true
	}
	return e, ok
}

// Put implements negotiate.Store. It waits for no file.
func (f *File) Put(k negotiate.Key, e negotiate.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.unsaved[k]; ok {
		e = negotiate.Merge(old.entry, e)
	} else if len(f.unsaved) >= f.limit {
		f.forgetOldest()
	}
	f.puts++
	f.unsaved[k] = unsaved{e, f.puts}
	if !f.behind {
		f.behind = true
		go f.writeBehind()
	}
}

// forgetOldest gives up what was put first of what could not be written. Called with mu held.
func (f *File) forgetOldest() {
	var oldest negotiate.Key
	first := f.puts + 1
	for k, u := range f.unsaved {
		if u.put < first {
			oldest, first = k, u.put
		}
	}
	delete(f.unsaved, oldest)
}

// writeBehind writes until nothing is unsaved, or what is cannot be written.
func (f *File) writeBehind() {
	for {
		f.mu.Lock()
		puts := f.puts
		f.mu.Unlock()
		err := f.change(nil)
		f.mu.Lock()
		if len(f.unsaved) == 0 || err != nil && f.puts == puts {
			f.behind = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
}

// Flush returns when what was Put before is in the file. It tries again what could not be written; the error says why it still cannot. It waits
// for other processes that write, five seconds at most.
func (f *File) Flush() error { return f.change(nil) }

// Delete implements negotiate.Store. It returns when the file is written.
func (f *File) Delete(k negotiate.Key) {
	f.mu.Lock()
	delete(f.unsaved, k)
	f.mu.Unlock()
	f.change(func(entries map[negotiate.Key]negotiate.Entry) { delete(entries, k) })
}

// List implements negotiate.Store.
func (f *File) List() []negotiate.Item {
	f.refresh()
	f.mu.Lock()
	entries := merged(f.cached, f.unsaved)
	f.mu.Unlock()
	return items(entries, f.limit)
}

// refresh reads the file again if it has changed.
func (f *File) refresh() {
	for again := true; again; {
		f.mu.Lock()
		writes := f.writes
		f.mu.Unlock()
		info, err := os.Stat(f.path)
		if err != nil {
			info = nil
		}
		if f.hasSeen(info) {
			return
		}
		entries, read, err := f.lockAndRead()
		if err != nil {
			f.fail(err)
			if read == nil {
				read = info // say it once
			}
		}
		f.mu.Lock()
		// What was read may be older than what was written meanwhile, and is not unsaved any more.
		if again = f.writes != writes; !again {
			f.saw(entries, read)
		}
		f.mu.Unlock()
	}
}

// change writes the file with what is unsaved and after edit, if not nil.
func (f *File) change(edit func(map[negotiate.Key]negotiate.Entry)) error {
	f.writing <- struct{}{}
	defer func() { <-f.writing }()
	f.mu.Lock()
	taken, puts := maps.Clone(f.unsaved), f.puts
	f.mu.Unlock()
	if len(taken) == 0 && edit == nil {
		return nil // whoever wrote before has written it too
	}
	if err := f.rewrite(taken, edit); err != nil {
		f.mu.Lock()
		tell := f.told < puts || edit != nil
		f.told = puts
		f.mu.Unlock()
		if tell {
			f.fail(err)
		}
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, e := range taken {
		if f.unsaved[k].put == e.put {
			delete(f.unsaved, k)
		}
	}
	return nil
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
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	f.saw(byKey(list), info)
	return nil
}

// saw notes what the file holds. Called with mu held.
func (f *File) saw(entries map[negotiate.Key]negotiate.Entry, info fs.FileInfo) {
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
