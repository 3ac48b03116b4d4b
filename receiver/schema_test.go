package receiver

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// The schema is written by hand.
func TestTheSchemaHasEverySettingAndItsDefault(t *testing.T) {
	text, err := os.ReadFile("config.schema.yaml")
	require.NoError(t, err)
	r, err := confmap.NewRetrievedFromYAML(text)
	require.NoError(t, err)
	raw, err := r.AsRaw()
	require.NoError(t, err)
	root := raw.(map[string]any)
	defaults := confmap.New()
	require.NoError(t, defaults.Marshal(createDefaultConfig()))

	var compare func(path string, settings, node map[string]any)
	compare = func(path string, settings, node map[string]any) {
		if ref, ok := node["$ref"].(string); ok {
			node = root["$defs"].(map[string]any)[ref].(map[string]any)
		}
		properties, _ := node["properties"].(map[string]any)
		require.Equal(t, slices.Sorted(maps.Keys(settings)), slices.Sorted(maps.Keys(properties)), "settings of %q", path)
		for key, value := range settings {
			property := properties[key].(map[string]any)
			switch v := value.(type) {
			case map[string]any:
				compare(path+key+"::", v, property)
			case time.Duration:
				want, err := time.ParseDuration(fmt.Sprint(property["default"]))
				require.NoError(t, err)
				require.Equal(t, want, v, path+key)
			case nil, []any:
				require.Empty(t, v, path+key)
			default:
				if property["default"] == nil {
					require.Zero(t, v, path+key)
				} else {
					require.Equal(t, fmt.Sprint(property["default"]), fmt.Sprint(v), path+key)
				}
			}
		}
	}
	compare("", defaults.ToStringMap(), root)
}
