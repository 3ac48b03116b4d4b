package e2e

import (
	"fmt"
	"regexp"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// A logQuery is a query of the part of LogQL that the dashboards need: a
// selector and filters, each of which a label must meet.
type logQuery []matcher

type matcher struct {
	label, op string
	value     *regexp.Regexp
}

var (
	logQL      = regexp.MustCompile(`^\{(\w+(?:=~|=)"[^"]*"(?:, \w+(?:=~|=)"[^"]*")*)\}((?: \| \w+ (?:=~|!~|!=|=) "[^"]*")*)$`)
	logMatcher = regexp.MustCompile(`(\w+) ?(=~|!~|!=|=) ?"([^"]*)"`)
)

func parseLogQuery(text string) (logQuery, error) {
	parts := logQL.FindStringSubmatch(text)
	if parts == nil {
		return nil, fmt.Errorf("it is not { selector } | filter …: %s", text)
	}
	var q logQuery
	selective := false // Loki wants one label of the selector that cannot be empty
	for i, part := range parts[1:] {
		for _, m := range logMatcher.FindAllStringSubmatch(part, -1) {
			pattern := m[3]
			if !strings.HasSuffix(m[2], "~") {
				pattern = regexp.QuoteMeta(pattern)
			}
			value, err := regexp.Compile("^(?:" + pattern + ")$")
			if err != nil {
				return nil, err
			}
			q = append(q, matcher{m[1], m[2], value})
			selective = selective || i == 0 && !value.MatchString("")
		}
	}
	if !selective {
		return nil, fmt.Errorf("the selector matches everything, which Loki refuses: %s", text)
	}
	return q, nil
}

func (q logQuery) selects(labels map[string]string) bool {
	for _, m := range q {
		if m.value.MatchString(labels[m.label]) == strings.HasPrefix(m.op, "!") {
			return false
		}
	}
	return true
}

// labels are what Loki makes of a log record: labels and structured metadata,
// which queries do not tell apart.
func (r record) labels() map[string]string {
	labels := map[string]string{"trace_id": r.TraceID().String(), "span_id": r.SpanID().String()}
	for _, m := range []pcommon.Map{r.resource, r.Attributes()} {
		for key, value := range m.All() {
			labels[strings.ReplaceAll(key, ".", "_")] = value.AsString()
		}
	}
	return labels
}
