package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/weftws/weft/negotiate"
)

// document is the file's form: JSON.
type document struct {
	Format  string           `json:"format"`
	Version int              `json:"version"`
	Items   []negotiate.Item `json:"items"` // the least recently written first
}

const (
	format  = "weft memory"
	version = 1
	// maxBytes is what a memory may be read from: an entry takes less than 4 KB.
	maxBytes = 64 << 20
)

// lockAndRead is read for who does not have the lock.
func (f *File) lockAndRead() (map[negotiate.Key]negotiate.Entry, fs.FileInfo, error) {
	if lockToRead {
		if unlock, err := lock(f.path + ".lock"); err == nil {
			defer unlock()
		}
	}
	entries, info, err := f.read()
	if err != nil {
		err = fmt.Errorf("memory: %w", err)
	}
	return entries, info, err
}

// read returns what the file holds; nothing if there is none. The FileInfo is of the file that was read.
func (f *File) read() (map[negotiate.Key]negotiate.Entry, fs.FileInfo, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, info, err
	}
	list, err := decode(b)
	if err != nil {
		return nil, info, &notMemoryError{f.path, err}
	}
	now := time.Now()
	for i := range list {
		list[i].Entry = list[i].Entry.Timely(now)
	}
	return byKey(list), info, nil
}

// A notMemoryError says that a file is something else than a memory.
type notMemoryError struct {
	path string
	err  error
}

func (e *notMemoryError) Error() string {
	return fmt.Sprintf("%s is no memory, a new one is begun: %v", e.path, e.err)
}

func (e *notMemoryError) Unwrap() error { return e.err }

func decode(b []byte) ([]negotiate.Item, error) {
	if len(b) > maxBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxBytes)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, err
	}
	if d.Format != format || d.Version != version {
		return nil, fmt.Errorf("format %q version %d, want %q version %d", d.Format, d.Version, format, version)
	}
	return d.Items, nil
}

// write puts a new file in the old one's place.
func (f *File) write(list []negotiate.Item) (info fs.FileInfo, err error) {
	b, err := json.MarshalIndent(document{Format: format, Version: version, Items: list}, "", "\t")
	if err != nil {
		return nil, err
	}
	dir, name := filepath.Split(f.path)
	temp, err := os.CreateTemp(dir, name+".tmp*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	// Choice: no Sync. What a machine that loses power may lose is what dials find out again, and the file that it may leave is put aside.
	_, err = temp.Write(append(b, '\n'))
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		return nil, err
	}
	return os.Stat(f.path)
}
