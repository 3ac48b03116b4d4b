package process

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhatTheUserDeclares(t *testing.T) {
	list := func(pairs ...string) (as []Attribute) {
		for i := 0; i < len(pairs); i += 2 {
			as = append(as, Attribute{pairs[i], pairs[i+1]})
		}
		return as
	}
	for _, c := range []struct {
		name, environ, want string
		attributes          []Attribute
	}{
		{"nothing", "PATH=/bin\x00HOME=/\x00", "", nil},
		{"OTEL_SERVICE_NAME", "A=b\x00OTEL_SERVICE_NAME=cart\x00", "cart", nil},
		{"service.name of OTEL_RESOURCE_ATTRIBUTES", "OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=cart%20two\x00", "cart two", list("a", "b")},
		{"OTEL_SERVICE_NAME wins, wherever it stands", "OTEL_RESOURCE_ATTRIBUTES=service.name=x\x00OTEL_SERVICE_NAME=cart\x00", "cart", nil},
		{"an empty one says nothing", "OTEL_SERVICE_NAME=\x00OTEL_RESOURCE_ATTRIBUTES=service.name=x\x00", "x", nil},
		{"what the operator of Kubernetes injects", "OTEL_RESOURCE_ATTRIBUTES=k8s.container.name=app,service.namespace=shop,service.version=1.2\x00", "",
			list("k8s.container.name", "app", "service.namespace", "shop", "service.version", "1.2")},
		{"commas and equals signs, encoded", "OTEL_RESOURCE_ATTRIBUTES=a%2Cb=c%3Dd%2C,e=f=g\x00", "", list("a,b", "c=d,", "e", "f=g")},
		{"a plus sign is one", "OTEL_RESOURCE_ATTRIBUTES=a=1+1\x00", "", list("a", "1+1")},
		{"space around and an empty value", "OTEL_RESOURCE_ATTRIBUTES= a = b ,c=,\x00", "", list("a", "b", "c", "")},
		{"the SDK's own", "OTEL_RESOURCE_ATTRIBUTES=telemetry.sdk.name=x,a=b\x00", "", list("a", "b")},
		{"wrong percent-encoding: discarded whole", "OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=%zz\x00", "", nil},
		{"no value: discarded whole", "OTEL_RESOURCE_ATTRIBUTES=a=b,c\x00", "", nil},
		{"no key: discarded whole", "OTEL_RESOURCE_ATTRIBUTES=a=b,=c\x00", "", nil},
		{"more than everybody takes", "OTEL_RESOURCE_ATTRIBUTES=" + strings.Repeat("a=b,", 64) + "c=d\x00", "", nil},
		{"longer than everybody takes", "OTEL_RESOURCE_ATTRIBUTES=a=" + strings.Repeat("x", 8192) + "\x00", "", nil},
		{"a similar variable", "MY_OTEL_SERVICE_NAME=x\x00OTEL_SERVICE_NAMES=y\x00", "", nil},
		{"too long for a name", "OTEL_SERVICE_NAME=" + strings.Repeat("x", 256) + "\x00", "", nil},
		{"control characters are dropped", "OTEL_SERVICE_NAME=ca\x1brt\n\x00OTEL_RESOURCE_ATTRIBUTES=a=%00b\x00", "cart", list("a", "b")},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, attributes := declared([]byte(c.environ))
			assert.Equal(t, c.want, name)
			if len(c.attributes) == 0 {
				assert.Empty(t, attributes)
			} else {
				assert.Equal(t, c.attributes, attributes)
			}
		})
	}
}

func FuzzDeclared(f *testing.F) {
	f.Add([]byte("OTEL_SERVICE_NAME=cart\x00OTEL_RESOURCE_ATTRIBUTES=a=b,c%2C=%20\x00"))
	f.Fuzz(func(t *testing.T, environ []byte) {
		name, attributes := declared(environ)
		if len(name) > 3*maxName || len(attributes) > maxDeclared {
			t.Errorf("%q, %d attributes", name, len(attributes))
		}
	})
}
