// Package micro compares single operations of weft with the same operations elsewhere: masking with gobwas, gws, coder and gorilla,
// UTF-8 with unicode/utf8, frame headers with gobwas. make microbench runs it with the benchmarks of weft's own packages.
package micro
