package httpconv

import "strconv"

// statusTexts are the values of error.type, so that an exchange that failed
// makes no string.
var statusTexts = func() (t [1000 - 400]string) {
	for i := range t {
		t[i] = strconv.Itoa(400 + i)
	}
	return t
}()

func statusText(status int) string {
	if i := status - 400; i >= 0 && i < len(statusTexts) {
		return statusTexts[i]
	}
	return "_OTHER"
}
