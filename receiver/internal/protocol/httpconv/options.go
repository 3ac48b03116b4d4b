package httpconv

import (
	"fmt"
	"slices"
	"strings"
)

// Options are what a user may ask for beyond the default. The zero value is
// the default: no header values but those that the conventions recommend.
type Options struct {
	// RequestHeaders and ResponseHeaders name the headers whose values become
	// http.{request,response}.header.<key>; lower case.
	RequestHeaders  []string `mapstructure:"request_headers"`
	ResponseHeaders []string `mapstructure:"response_headers"`
	// BodySize adds http.{request,response}.body.size.
	BodySize bool `mapstructure:"body_size"`
	// ClientUserAgent adds user_agent.original to client spans, too.
	ClientUserAgent bool `mapstructure:"client_user_agent"`
}

// credentials are headers that nobody gets to see, listed or not.
var credentials = []string{
	"authorization", "cookie", "proxy-authorization", "set-cookie",
	"x-amz-security-token", "x-api-key", "x-auth-token", "x-csrf-token", "x-vault-token",
}

// Validate reports the first header that is not a lower-case field name or
// carries credentials.
func (o *Options) Validate() error {
	for _, list := range [][]string{o.RequestHeaders, o.ResponseHeaders} {
		for _, name := range list {
			switch {
			case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") != "":
				return fmt.Errorf("%q is not a header name in lower case", name)
			case slices.Contains(credentials, name):
				return fmt.Errorf("header %q carries credentials and is never recorded", name)
			}
		}
	}
	return nil
}

// wanted returns the place of a header in a list that the user gave, or -1.
func wanted(list []string, name []byte) int {
	for i, want := range list {
		if Is(name, want) && !slices.Contains(credentials, want) {
			return i
		}
	}
	return -1
}
