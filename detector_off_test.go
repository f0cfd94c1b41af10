//go:build !race

package weft_test

const raceDetector = false
