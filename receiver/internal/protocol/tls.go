package protocol

// IsTLS reports whether p begins with a record of TLS: of one of its types, and
// version 3.x (RFC 8446 5.1).
func IsTLS(p []byte) bool {
	return len(p) >= 3 && p[0] >= 20 && p[0] <= 24 && p[1] == 3 && p[2] <= 4
}
