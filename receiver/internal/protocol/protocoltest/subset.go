package protocoltest

import (
	"slices"
	"strings"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

// subset checks that r, of which something was lost, says nothing that the
// whole conversation does not say: each of its exchanges is one of the whole
// one's, with the same answer or none.
func (c *checker) subset(r *result, how string, steps []step) {
	c.t.Helper()
	if !c.sound() || c.Whole || c.t.Failed() {
		return
	}
	whole := c.whole.records
	taken := make([]int, len(whole)) // by which of r, plus one
	var find func(i int, tried []bool) bool
	find = func(i int, tried []bool) bool {
		for w := range whole {
			if tried[w] || !c.within(&r.records[i], &whole[w]) {
				continue
			}
			tried[w] = true
			if taken[w] == 0 || find(taken[w]-1, tried) {
				taken[w] = i + 1
				return true
			}
		}
		return false
	}
	for i := range r.records {
		if c.whole.counted != "" && r.records[i].Start > whole[len(whole)-1].End {
			continue // inside a tunnel, whose beginning was lost
		}
		if !find(i, make([]bool, len(whole))) {
			lossy := Conversation{Joined: c.Joined, steps: steps}
			for j, s := range lossy.steps {
				if s.lost {
					lossy.steps[j].missing += int64(len(s.data))
					lossy.steps[j].data = nil
				}
			}
			c.t.Errorf("%s, %s: made up:\n%s\nof:\n%s\nfrom\n%s", sections[c.side], how, r, c.whole, lossy.String())
			return
		}
	}
}

// within reports whether r can be what is left of w.
func (c *checker) within(r, w *record) bool {
	if r.Start != w.Start || !strings.HasPrefix(w.trace, r.trace) {
		return false
	}
	less := r.Truncated // r may be less specific than w
	for k := range w.attributes {
		if _, ok := r.attributes[k]; !ok && slices.Contains(c.unmarked, k) {
			less = true
		} else if !ok && !r.Truncated && r.Outcome == w.Outcome {
			return false
		}
	}
	if r.name != w.name && !less {
		return false
	}
	// What makes it another kind of span may be among what was lost, too.
	other := r.Truncated && r.name != w.name
	for k, v := range r.attributes {
		if got, ok := w.attributes[k]; got != v && (ok || !other) && v != c.defaults[k] {
			return false
		}
	}
	switch r.Outcome {
	case exchange.Lost, exchange.Evicted:
		return r.ErrorType == ""
	case w.Outcome:
		return r.ErrorType == w.ErrorType
	case exchange.Answered:
		return r.Truncated
	}
	return false
}
