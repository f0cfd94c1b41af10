package memory

import (
	"container/list"
	"sync"

	"github.com/weftws/weft/negotiate"
)

// A Map is a bounded memory in the process. What was not written for longest goes first. It is safe for concurrent use.
type Map struct {
	mu      sync.Mutex
	limit   int
	entries map[negotiate.Key]*list.Element // of negotiate.Item
	order   list.List                       // least recently written first
}

// DefaultLimit is how many origins a memory holds unless it is told otherwise.
const DefaultLimit = 1000

// NewMap returns a Map for limit origins; 0: DefaultLimit.
func NewMap(limit int) *Map {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Map{limit: limit, entries: make(map[negotiate.Key]*list.Element)}
}

// Get implements negotiate.Store.
func (m *Map) Get(k negotiate.Key) (negotiate.Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[k]; e != nil {
		return e.Value.(negotiate.Item).Entry, true
	}
	return negotiate.Entry{}, false
}

// Put implements negotiate.Store.
func (m *Map) Put(k negotiate.Key, e negotiate.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.entries[k]; old != nil {
		e = negotiate.Merge(old.Value.(negotiate.Item).Entry, e)
		old.Value = negotiate.Item{Key: k, Entry: e}
		m.order.MoveToBack(old)
		return
	}
	m.entries[k] = m.order.PushBack(negotiate.Item{Key: k, Entry: e})
	if len(m.entries) > m.limit {
		first := m.order.Front()
		m.order.Remove(first)
		delete(m.entries, first.Value.(negotiate.Item).Key)
	}
}

// Delete implements negotiate.Store.
func (m *Map) Delete(k negotiate.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[k]; e != nil {
		m.order.Remove(e)
		delete(m.entries, k)
	}
}

// List implements negotiate.Store.
func (m *Map) List() []negotiate.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := make([]negotiate.Item, 0, len(m.entries))
	for e := m.order.Front(); e != nil; e = e.Next() {
		items = append(items, e.Value.(negotiate.Item))
	}
	return items
}
