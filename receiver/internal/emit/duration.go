package emit

import "strconv"

// appendDuration appends a duration in nanoseconds as a person would say it,
// cut to three digits: 850ns, 12.3µs, 3.2ms, 1.25s, 3600s.
func appendDuration(dst []byte, ns int64) []byte {
	unit, name := int64(1e9), "s"
	switch {
	case ns < 1e3:
		unit, name = 1, "ns"
	case ns < 1e6:
		unit, name = 1e3, "µs"
	case ns < 1e9:
		unit, name = 1e6, "ms"
	}
	whole := ns / unit
	dst = strconv.AppendInt(dst, whole, 10)
	hundredths := ns % unit * 100 / unit
	switch {
	case whole >= 100:
		hundredths = 0
	case whole >= 10:
		hundredths -= hundredths % 10
	}
	if hundredths > 0 {
		dst = append(dst, '.', '0'+byte(hundredths/10))
		if hundredths%10 > 0 {
			dst = append(dst, '0'+byte(hundredths%10))
		}
	}
	return append(dst, name...)
}
