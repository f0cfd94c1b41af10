// Package transcript runs scripts against the machines of this module (package h2, for one): text files in which every
// step is a command, its input, and the output that it must have.
//
//	# "A sentence of the RFC that this step is about." RFC 9113, Section 6.7.
//	recv
//	PING 0102030405060708
//	----
//	-> PING 0102030405060708 ACK
//
// The format is that of github.com/cockroachdb/datadriven; go test -rewrite writes the output as it is into the files.
// Which commands there are is up to the package that calls Run.
//
// Every script runs twice, the second time with all input cut into single bytes, and must give the same output (the
// chunk law).
package transcript
