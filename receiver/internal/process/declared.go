package process

import (
	"bytes"
	"net/url"
	"strings"
)

const (
	// maxName bounds a service's name. A longer one is not one.
	maxName = 255
	// Of a list of resource attributes, which is a baggage: what everybody must
	// take (W3C Baggage 3.3.2). A longer one is ignored whole.
	maxDeclared     = 64
	maxDeclaredList = 8192 // bytes
)

// An Attribute is one that a process declares of its resource.
type Attribute struct{ Key, Value string }

// declared returns what the user says of the process by the environment
// variables of the OpenTelemetry SDKs: the service's name, and the other
// resource attributes. OTEL_SERVICE_NAME wins.
func declared(environ []byte) (name string, attributes []Attribute) {
	for len(environ) > 0 {
		var entry []byte
		entry, environ, _ = bytes.Cut(environ, []byte{0})
		if v, ok := bytes.CutPrefix(entry, []byte("OTEL_SERVICE_NAME=")); ok {
			name = validName(string(v))
		}
		if v, ok := bytes.CutPrefix(entry, []byte("OTEL_RESOURCE_ATTRIBUTES=")); ok {
			attributes = resourceAttributes(string(v))
		}
	}
	others := attributes[:0]
	for _, a := range attributes {
		switch {
		case a.Key != "service.name":
			others = append(others, a)
		case name == "":
			name = validName(a.Value)
		}
	}
	return name, others[:len(others):len(others)]
}

// resourceAttributes reads a comma-separated list of key=value, both
// percent-encoded. A list with a mistake is discarded whole (OpenTelemetry
// specification, Resource SDK, "Specifying resource information via an
// environment variable").
func resourceAttributes(list string) []Attribute {
	if len(list) > maxDeclaredList || strings.Count(list, ",") >= maxDeclared {
		return nil
	}
	var attributes []Attribute
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		key, keyErr := url.PathUnescape(strings.TrimSpace(k))
		value, valueErr := url.PathUnescape(strings.TrimSpace(v))
		if !ok || key == "" || keyErr != nil || valueErr != nil {
			return nil
		}
		// What the SDK says of itself is not true of what was captured.
		if !strings.HasPrefix(key, "telemetry.") {
			attributes = append(attributes, Attribute{printable(key), printable(value)})
		}
	}
	return attributes
}
