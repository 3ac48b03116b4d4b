//go:build race

package protocoltest

// RaceEnabled says whether the race detector is.
const RaceEnabled = true
