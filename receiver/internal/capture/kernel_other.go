//go:build !linux || !(amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"runtime"
)

// Open starts capture in the kernel, where there is a program for it.
func Open(Options) (Source, error) {
	return nil, fmt.Errorf("capture on %s/%s: %w: only Linux on amd64 and arm64", runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}
