// Package engine runs it all.
package engine
