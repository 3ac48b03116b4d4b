package receiver

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
)

// maxListed bounds each list of a filter. Networks of IP ranges, the longest,
// go into the hundreds.
const maxListed = 1024

// FilterConfig says which connections and processes are captured: those that
// are in every list of Include that is not empty, and in none of Exclude.
type FilterConfig struct {
	Include FilterLists `mapstructure:"include"`
	Exclude FilterLists `mapstructure:"exclude"`

	_ struct{}
}

// FilterLists are what connections and processes are told apart by.
type FilterLists struct {
	// LocalNetworks are those of the observed end of a connection, PeerNetworks
	// those of the other. Each list has at most 1,024 entries.
	LocalNetworks Networks `mapstructure:"local_networks"`
	PeerNetworks  Networks `mapstructure:"peer_networks"`
	// Ports are those of the server, whichever end is observed.
	Ports Ports `mapstructure:"ports"`
	// Executables are globs (path.Match) of the path of what a process runs, as
	// it sees it itself; without a slash, of the last element.
	Executables Globs `mapstructure:"executables"`
	// Cgroups are paths as in /proc/<pid>/cgroup. What is below them belongs
	// to them.
	Cgroups Cgroups `mapstructure:"cgroups"`

	_ struct{}
}

// Validate implements confmap.Validator. It looks for lists that contradict each
// other; each validates itself.
func (c *FilterConfig) Validate() error {
	var errs []error
	conflict := func(list, included, excluded string) {
		errs = append(errs, fmt.Errorf("%s: %s is included and, with %s, excluded: nothing of it would be seen; remove one", list, included, excluded))
	}
	in, out := &c.Include, &c.Exclude
	for _, list := range []struct {
		name    string
		in, out Networks
	}{{"local_networks", in.LocalNetworks, out.LocalNetworks}, {"peer_networks", in.PeerNetworks, out.PeerNetworks}} {
		included, _ := list.in.parse()
		excluded, _ := list.out.parse()
		overlaps(included, excluded, func(p, q netip.Prefix) bool { return p.Overlaps(q) && p.Bits() >= q.Bits() },
			func(p, q netip.Prefix) { conflict(list.name, p.String(), q.String()) })
	}
	included, _ := in.Ports.parse()
	excluded, _ := out.Ports.parse()
	overlaps(included, excluded, func(p, q capture.PortRange) bool { return q.First <= p.First && p.Last <= q.Last },
		func(p, q capture.PortRange) { conflict("ports", portText(p), portText(q)) })
	same := func(p, q string) bool { return p == q }
	overlaps(in.Executables, out.Executables, same, func(p, q string) { conflict("executables", p, q) })
	overlaps(in.Cgroups, out.Cgroups, isBelow, func(p, q string) { conflict("cgroups", p, q) })
	return errors.Join(errs...)
}

// overlaps calls found for each pair that meets.
func overlaps[T any](included, excluded []T, meet func(p, q T) bool, found func(p, q T)) {
	for _, p := range included {
		for _, q := range excluded {
			if meet(p, q) {
				found(p, q)
			}
		}
	}
}

// ofProcesses reports whether a list is of processes.
func (c *FilterConfig) ofProcesses() bool {
	return len(c.Include.Executables)+len(c.Include.Cgroups)+len(c.Exclude.Executables)+len(c.Exclude.Cgroups) > 0
}

// open returns the filter for a source. Processes are those of r.
func (c *FilterConfig) open(r process.Resolver) (f capture.Filter, err error) {
	if f.Include, err = c.Include.connections(); err != nil {
		return f, err
	}
	if f.Exclude, err = c.Exclude.connections(); err != nil {
		return f, err
	}
	if c.ofProcesses() {
		f.Process = func(pid uint32, start uint64, comm [16]byte) bool {
			p := exchange.Process{PID: pid, Start: start, Comm: comm}
			executable, cgroups := r.Program(p)
			if executable == "" { // it has ended, or may not be looked at
				executable = process.Short(p).ExecutableName
			}
			return c.wants(executable, cgroups)
		}
	}
	return f, nil
}

func (l *FilterLists) connections() (lists capture.Lists, err error) {
	var errs [3]error
	lists.Local, errs[0] = l.LocalNetworks.parse()
	lists.Peer, errs[1] = l.PeerNetworks.parse()
	lists.Ports, errs[2] = l.Ports.parse()
	return lists, errors.Join(errs[:]...)
}

// wants judges a process. One of which nothing is known is in no list.
func (c *FilterConfig) wants(executable string, cgroups []string) bool {
	in, out := &c.Include, &c.Exclude
	return (len(in.Executables) == 0 || in.Executables.has(executable)) && !out.Executables.has(executable) &&
		(len(in.Cgroups) == 0 || in.Cgroups.has(cgroups)) && !out.Cgroups.has(cgroups)
}

// Ports are numbers from 1 to 65535, and ranges such as "8000-8999". They must
// not overlap.
type Ports []any

// Validate implements confmap.Validator.
func (p Ports) Validate() error {
	_, err := p.parse()
	return err
}

func (p Ports) parse() ([]capture.PortRange, error) {
	var ranges []capture.PortRange
	errs := []error{tooMany(len(p))}
	for _, v := range p {
		r, err := parsePorts(fmt.Sprint(v))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, q := range ranges {
			if r.First <= q.Last && q.First <= r.Last {
				errs = append(errs, fmt.Errorf("%s and %s overlap: make them one", portText(q), portText(r)))
			}
		}
		ranges = append(ranges, r)
	}
	return ranges, errors.Join(errs...)
}

func parsePorts(text string) (r capture.PortRange, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || first == 0 || first > last {
		return r, fmt.Errorf("%q is no port: write 80, or 8000-8999, from 1 to 65535", text)
	}
	return capture.PortRange{First: uint16(first), Last: uint16(last)}, nil
}

func portText(r capture.PortRange) string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Globs are patterns as path.Match has them: of a name, or of an absolute path.
type Globs []string

// Validate implements confmap.Validator.
func (g Globs) Validate() error {
	errs := []error{tooMany(len(g)), twice(g)}
	for _, pattern := range g {
		_, err := path.Match(pattern, "")
		if err != nil || pattern == "" || strings.Contains(pattern, "/") && !strings.HasPrefix(pattern, "/") {
			errs = append(errs, fmt.Errorf("%q is no glob of executables: write nginx, python3*, /usr/sbin/nginx or /opt/*/bin/*", pattern))
		}
	}
	return errors.Join(errs...)
}

func (g Globs) has(executable string) bool {
	return executable != "" && slices.ContainsFunc(g, func(pattern string) bool {
		name := executable
		if !strings.Contains(pattern, "/") {
			name = path.Base(executable)
		}
		ok, _ := path.Match(pattern, name) // validated
		return ok
	})
}

// Cgroups are absolute paths of cgroups, without the place where they are
// mounted. None is below another.
type Cgroups []string

// Validate implements confmap.Validator.
func (c Cgroups) Validate() error {
	errs := []error{tooMany(len(c)), twice(c)}
	for i, p := range c {
		if path.Clean(p) != p || !path.IsAbs(p) || p == "/" {
			errs = append(errs, fmt.Errorf("%q is no cgroup: write it as /proc/<pid>/cgroup does, such as /system.slice/nginx.service", p))
		}
		for j, q := range c {
			if i != j && p != q && isBelow(p, q) {
				errs = append(errs, fmt.Errorf("%s is part of %s: remove one", p, q))
			}
		}
	}
	return errors.Join(errs...)
}

func (c Cgroups) has(cgroups []string) bool {
	return slices.ContainsFunc(c, func(q string) bool {
		return slices.ContainsFunc(cgroups, func(p string) bool { return isBelow(p, q) })
	})
}

// isBelow reports whether p is q or below it.
func isBelow(p, q string) bool { return p == q || strings.HasPrefix(p, q+"/") }

func tooMany(n int) error {
	if n > maxListed {
		return fmt.Errorf("has %d entries: list at most %d", n, maxListed)
	}
	return nil
}

func twice(list []string) error {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("%q is listed twice: remove one", v)
		}
	}
	return nil
}
