// Package fuzzing is what the fuzz targets of several packages share. docs/fuzzing.md says how they are run.
package fuzzing
