package e2e

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// A vault makes secrets, each told by its place, and finds them again.
type vault struct{ places []string }

const hush = "5ecre7"

func (v *vault) secret(place string) string {
	v.places = append(v.places, place)
	return fmt.Sprintf("%s-%d-%s", hush, len(v.places), place)
}

// search looks for the secrets, plain and as Basic authentication hides them.
func (v *vault) search(t *testing.T, where, text string) {
	t.Helper()
	for i, place := range v.places {
		secret := fmt.Sprintf("%s-%d-%s", hush, i+1, place)
		if strings.Contains(text, secret) {
			t.Errorf("the secret of %s is in %s", place, where)
		}
	}
	if at := strings.Index(text, hush); at >= 0 {
		t.Errorf("%s has %q", where, text[at:min(len(text), at+40)])
	}
	if strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("me:" + hush))[:8]) {
		t.Errorf("%s has credentials in Base64", where)
	}
}
