// Package negotiate decides how a WebSocket gets onto an HTTP connection. A [Machine] is given a [Policy] (what the caller
// allows) and [Facts] (what is known), says what to do ([Order]), is told what came of it ([Outcome]), and says what to
// do next, until it orders [Succeed] or [Fail]:
//
//	m := negotiate.New(policy, facts)
//	orders := m.Start(now)
//	for !m.Done() {
//		... obey orders in their sequence; wait until something happens ...
//		orders = m.Report(now, outcome)
//	}
//
// It is pure: no goroutine, clock, socket, lock or context. The executor obeys and decides nothing; whoever wants to know why
// a dial took the way it took finds the reason here.
//
// A way of getting onto a connection is a [Rung]. Each has a file of its own (upgrade.go, settings.go, assume.go ...) that says
// what it does with a connection and what it waits for; what a failure means is the same for all of them and stands in
// failure.go as a table; what to do about it is in react.go, where to begin and to go on in choose.go.
//
// # Assuming
//
// The default is to assume that a server does RFC 8441, and to lose a round trip only where that is wrong. The Extended CONNECT goes
// out in the first flight of a fresh HTTP/2 connection (assume.go). Its answer counts only if the server's SETTINGS, which are
// the first that it sends, allow it: real servers answer 200 to a CONNECT they never understood. Beside the connection a spare one is
// prepared for HTTP/1.1 (spare.go), so that an old server costs one round trip more than an Upgrade would have, and that once: what was
// found is remembered ([Remember], [Entry]; remembered.go says what, and for how long). A [Store] keeps it.
//
// In round trips from the first SYN to the open WebSocket, over TLS 1.3: known or new servers 3, old ones 4 the first time; 1 on a live
// connection. Transcripts in testdata show each row of the documentation's table, each class of failure and each rule.
//
// # QUIC
//
// HTTP/3 is raced against all of this: QUIC has a head start, then TCP goes the way it would have gone without (quic.go, h3.go). Nothing is
// assumed over it. What is known of the network is stored apart from the origins: [NetworkKey], [RememberNetwork].
//
// # Dials that share a probe
//
// Many dials that start at once to an origin nobody knows need one connection, not many. So Connect says whether its connection
// is a probe (it may turn out to carry many streams), the executor's pool counts the probes under way for an origin, and Facts.Probing
// tells the next Machine. That one orders AwaitProbe, and goes on with the facts as they are afterwards. To be exact, the
// executor holds its pool's lock from gathering Facts to having noted the Probe in the orders of Start or Report; both return
// at once, so that this is cheap.
package negotiate
