package httpconv

import (
	"errors"
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

// Check says which headers are not lower-case field names or carry credentials.
func (o Options) Check() error {
	return errors.Join(check("request_headers", o.RequestHeaders), check("response_headers", o.ResponseHeaders))
}

func check(list string, names []string) error {
	var errs []error
	for _, name := range names {
		switch {
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") != "":
			errs = append(errs, fmt.Errorf("%s: %q is no header name: write it in lower case, such as content-type", list, name))
		case slices.Contains(credentials, name):
			errs = append(errs, fmt.Errorf("%s: %q carries credentials and is never recorded: remove it", list, name))
		}
	}
	return errors.Join(errs...)
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

// WantsResponseFields reports whether the user has asked for any.
func (x *Exchange) WantsResponseFields() bool {
	return x.options != nil && len(x.options.ResponseHeaders) > 0
}
