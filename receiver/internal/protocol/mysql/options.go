package mysql

import "fmt"

// QueryText says what becomes of the text of queries.
type QueryText string

// What may become of it.
const (
	// Sanitized replaces every literal by a question mark. The text of
	// prepared statements that take parameters is left as it is.
	Sanitized QueryText = "sanitized"
	Raw       QueryText = "raw"
	Off       QueryText = "off"
)

// Options are what a user may choose. DefaultOptions has the defaults.
type Options struct {
	// QueryText is what db.query.text shows.
	QueryText QueryText `mapstructure:"query_text"`
}

// DefaultOptions are those of who says nothing.
func DefaultOptions() Options { return Options{QueryText: Sanitized} }

// Check says what cannot be chosen.
func (o Options) Check() error {
	switch o.QueryText {
	case Sanitized, Raw, Off:
		return nil
	}
	return fmt.Errorf("query_text is %q: set it to %s, %s or %s", string(o.QueryText), Sanitized, Raw, Off)
}
