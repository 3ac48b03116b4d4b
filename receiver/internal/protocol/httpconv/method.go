package httpconv

// method is a place in methods.
type method uint8

const (
	other method = iota
	head
	connect
)

// methods are those of RFC 9110 9, PATCH (RFC 5789) and QUERY, by the
// conventions. The first stands for all that are not known.
var methods = [...]string{
	other: "_OTHER", head: "HEAD", connect: "CONNECT",
	3: "GET", 4: "POST", 5: "PUT", 6: "DELETE", 7: "PATCH", 8: "OPTIONS", 9: "TRACE", 10: "QUERY",
}

// known returns the place of a method. Methods are case-sensitive (RFC 9110 9.1).
func known(m []byte) method {
	switch string(m) {
	case "GET":
		return 3
	case "POST":
		return 4
	case "HEAD":
		return head
	case "CONNECT":
		return connect
	}
	for i := method(5); int(i) < len(methods); i++ {
		if string(m) == methods[i] {
			return i
		}
	}
	return other
}

// Known reports whether the conventions know a method by its own name.
func Known(m []byte) bool { return known(m) != other }

// MaybePOST reports whether the method is POST, for all that is known.
func (x *Exchange) MaybePOST() bool {
	return methods[x.method] == "POST" || x.method == other && x.original.empty()
}
