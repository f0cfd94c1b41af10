package negotiate

// A Store keeps Entries: a memory. Implementations are safe for concurrent use, keep a bounded number of entries, and never fail:
// what cannot be stored is forgotten. Dials, and whoever reads from their WebSockets, wait for Get and Put: Get may block as long as reading a
// local file takes, Put had better write behind.
type Store interface {
	// Get returns what is known of k, expired findings included.
	Get(k Key) (Entry, bool)
	// Put stores e. What others have stored since e was read is not lost: what is there and e are merged ([Merge]).
	Put(k Key, e Entry)
	// Delete forgets k.
	Delete(k Key)
	// List returns everything, the least recently written first.
	List() []Item
}

// An Item is an entry with its key.
type Item struct {
	Key   Key   `json:"key"`
	Entry Entry `json:"entry"`
}

// A Key is what two dials must have in common to share what is known. It is comparable.
type Key struct {
	Scheme      string // "wss" or "ws"
	Host        string // lower case, as in the URL; a port that is the scheme's default is spelt out in Port
	Port        string
	Proxy       string // its URL without credentials; "": none
	Network     string // a name for the network that the machine is in; "": there is but one
	TLSIdentity string // a digest of the roots and of the client certificate; "": the system's, and none
	ALPNSet     string // Policy.ALPNSet
	Partition   string // for callers who keep their users apart
}
