// Package metrics counts WebSockets for Prometheus. A [Collector] is registered like any other, and its Observer is set where
// WebSockets are dialed and served:
//
//	m := metrics.New()
//	prometheus.MustRegister(m)
//	dialer := &weft.Dialer{Observer: m.Observer()}
//	server := &weft.Server{Options: weft.ServerOptions{Observer: m.Observer()}}
//
// docs/observing.md lists the metrics. No label has more than a few dozen values, whatever peers do. A message costs nothing here:
// the counters of open WebSockets are summed up when Prometheus asks.
package metrics
