package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A dashboard is of Grafana's model what can be wrong without Grafana.
type dashboard struct {
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`

	file   string
	source string
}

// A variable stands in queries as $name or ${name}.
type variable struct {
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	Query      any         `json:"query"` // of a data source: its type
	Datasource *datasource `json:"datasource"`
	AllValue   string      `json:"allValue"`
	Options    []struct {
		Value string `json:"value"`
	} `json:"options"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"` // ${name of a variable}
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	GridPos     place      `json:"gridPos"`
	Datasource  datasource `json:"datasource"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets         []target `json:"targets"`
	Transformations []struct {
		ID      string `json:"id"`
		Options struct {
			Include struct {
				Names []string `json:"names"`
			} `json:"include"`
		} `json:"options"`
	} `json:"transformations"`
}

// columns returns the fields that a table of log records keeps.
func (p panel) columns() []string {
	for _, t := range p.Transformations {
		if t.ID == "filterFieldsByName" {
			return t.Options.Include.Names
		}
	}
	return nil
}

type target struct {
	RefID string `json:"refId"`
	Expr  string `json:"expr"`
}

// A place is in the dashboard's grid, which has 24 columns.
type place struct{ X, Y, W, H int }

func (p place) overlaps(q place) bool {
	return p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H
}

// readDashboards returns those that the examples have.
func readDashboards(t testing.TB) []dashboard {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(examplesDir, "grafana", "dashboards", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	var ds []dashboard
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := dashboard{file: filepath.Base(path), source: string(source)}
		if err := json.Unmarshal(source, &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		ds = append(ds, d)
	}
	return ds
}

// variableUse is a variable where it is used; $1 is of a regular expression.
var variableUse = regexp.MustCompile(`\$\{?([A-Za-z_]\w*)`)

// builtIn are Grafana's own variables.
var builtIn = []string{"__rate_interval", "__range", "__all"}

// flaws are what Grafana would show wrong, or not at all.
func (d dashboard) flaws() (l flaws) {
	if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 {
		l.addf("it has no uid, no title or no schemaVersion")
	}
	kinds := make(map[string]string) // of the data sources, by variable
	var known []string
	for _, v := range d.Templating.List {
		if slices.Contains(known, v.Name) {
			l.addf("variable %s: declared twice", v.Name)
		}
		known = append(known, v.Name)
		if v.Type == "datasource" {
			kinds["${"+v.Name+"}"], _ = v.Query.(string)
		} else if n := strings.Count(d.source, "$"+v.Name); n == 0 {
			l.addf("variable %s: nobody uses it", v.Name)
		}
		if v.Datasource != nil && kinds[v.Datasource.UID] != v.Datasource.Type {
			l.addf("variable %s: no variable %s with a data source of type %s stands before it", v.Name, v.Datasource.UID, v.Datasource.Type)
		}
	}
	for _, use := range variableUse.FindAllStringSubmatch(d.source, -1) {
		if !slices.Contains(known, use[1]) && !slices.Contains(builtIn, use[1]) {
			l.addf("variable %s: not declared", use[1])
		}
	}
	for i, p := range d.Panels {
		if kinds[p.Datasource.UID] != p.Datasource.Type || p.Datasource.Type == "" {
			l.addf("%s: no variable %s with a data source of type %s", p.Title, p.Datasource.UID, p.Datasource.Type)
		}
		for _, q := range d.Panels[:i] {
			if p.GridPos.overlaps(q.GridPos) {
				l.addf("%s and %s overlap", q.Title, p.Title)
			}
			if p.ID == q.ID || p.Title == q.Title {
				l.addf("%s and %s: the same id or title", q.Title, p.Title)
			}
		}
		l = append(l, p.flaws()...)
	}
	return l
}

func (p panel) flaws() (l flaws) {
	if p.ID == 0 || p.Title == "" || p.Type == "" {
		l.addf("panel %d %q has no id, title or type", p.ID, p.Title)
	}
	if g := p.GridPos; g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
		l.addf("%s: not in the grid: %+v", p.Title, g)
	}
	if p.FieldConfig.Defaults.Unit == "" {
		l.addf("%s: no unit", p.Title)
	}
	if len(p.Targets) == 0 {
		l.addf("%s: no query", p.Title)
	}
	var ids []string
	for _, q := range p.Targets {
		if q.Expr == "" || q.RefID == "" || slices.Contains(ids, q.RefID) {
			l.addf("%s: query %q: empty, or its refId is another's", p.Title, q.RefID)
		}
		ids = append(ids, q.RefID)
	}
	return l
}

// A selection is what a viewer has chosen: the value of each variable.
type selection map[string]string

// fill returns the query that Grafana would make of an expression.
func (s selection) fill(expr string) string {
	return variableUse.ReplaceAllStringFunc(expr, func(use string) string {
		return s[strings.TrimLeft(use, "${")]
	})
}

// selections are everything, and one service of one namespace; each with all
// values of the variable that has a list of them.
func (d dashboard) selections(namespace, service string) []selection {
	all := selection{"__rate_interval": "1m", "__range": "5m"}
	one := selection{"__rate_interval": "1m", "__range": "5m", "namespace": namespace, "service": service}
	some := []selection{all, one}
	for _, v := range d.Templating.List {
		if v.AllValue != "" {
			all[v.Name] = v.AllValue
		}
		if len(v.Options) == 0 {
			continue
		}
		var more []selection
		for _, o := range v.Options {
			for _, s := range some {
				chosen := selection{v.Name: o.Value}
				for name, value := range s {
					chosen[name] = value
				}
				more = append(more, chosen)
			}
		}
		some = more
	}
	return some
}

func (s selection) String() string {
	return fmt.Sprintf("namespace %q, service %q, side %q", s["namespace"], s["service"], s["side"])
}
