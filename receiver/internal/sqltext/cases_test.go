package sqltext_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/sqltext"
)

func TestTheConventionsOwnCases(t *testing.T) {
	root := os.Getenv("PERISCO_ORACLES")
	if root == "" {
		t.Skip("PERISCO_ORACLES is not set: no cases of the semantic conventions")
	}
	data, err := os.ReadFile(filepath.Join(root, "sql", "db-sql-test-cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name  string
		Input struct {
			System string `json:"db.system.name"`
			Query  string
		}
		Expected struct {
			Text    []string `json:"db.query.text"`
			Summary string   `json:"db.query.summary"`
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases found")
	}
	all := []sqltext.Dialect{sqltext.Standard, sqltext.MySQL, sqltext.MySQLNoBackslashEscapes, sqltext.PostgreSQL}
	dialects := map[string][]sqltext.Dialect{
		"other_sql":  all, // every dialect has what the cases have
		"mysql":      all[1:3],
		"mariadb":    all[1:3],
		"postgresql": all[3:],
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			in := dialects[c.Input.System]
			if in == nil {
				in = all[:1]
			}
			for _, d := range in {
				if got := string(sqltext.Sanitize(nil, []byte(c.Input.Query), d, 0)); !slices.Contains(c.Expected.Text, got) {
					t.Errorf("dialect %d: %q, want one of %q", d, got, c.Expected.Text)
				}
				if got := string(sqltext.Summary(nil, []byte(c.Input.Query), d)); got != c.Expected.Summary {
					t.Errorf("dialect %d: %q, want %q", d, got, c.Expected.Summary)
				}
			}
		})
	}
}
