package receiver

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/process"
)

func TestPorts(t *testing.T) {
	got, err := Ports{80, "443", "8000-8999"}.parse()
	require.NoError(t, err)
	require.Equal(t, []capture.PortRange{{First: 80, Last: 80}, {First: 443, Last: 443}, {First: 8000, Last: 8999}}, got)
	for text, ports := range map[string]Ports{
		`"http" is no port: write 80, or 8000-8999, from 1 to 65535`: {"http"},
		`"0" is no port`:                                 {0},
		`"65536" is no port`:                             {65536},
		`"-1" is no port`:                                {-1},
		`"90-80" is no port`:                             {"90-80"},
		`"1-2-3" is no port`:                             {"1-2-3"},
		`"80.5" is no port`:                              {80.5},
		`"<nil>" is no port`:                             {nil},
		`80 and 80 overlap: make them one`:               {80, "80"},
		`8000-8999 and 8999-9999 overlap: make them one`: {"8000-8999", "8999-9999"},
		`has 1025 entries: list at most 1024`:            make(Ports, 1025),
	} {
		require.ErrorContains(t, ports.Validate(), text)
	}
}

func TestProcessesAreTheirProgramsAndCgroups(t *testing.T) {
	const nginx, python = "/usr/sbin/nginx", "/usr/bin/python3.11"
	pod := []string{"/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope"}
	for _, c := range []struct {
		name       string
		filter     FilterConfig
		executable string
		cgroups    []string
		want       bool
	}{
		{"a name", FilterConfig{Include: FilterLists{Executables: Globs{"nginx"}}}, nginx, nil, true},
		{"another", FilterConfig{Include: FilterLists{Executables: Globs{"nginx"}}}, python, nil, false},
		{"one of several", FilterConfig{Include: FilterLists{Executables: Globs{"nginx", "python3*"}}}, python, nil, true},
		{"a name is not a part of one", FilterConfig{Exclude: FilterLists{Executables: Globs{"python"}}}, python, nil, true},
		{"a path", FilterConfig{Exclude: FilterLists{Executables: Globs{"/usr/sbin/nginx"}}}, nginx, nil, false},
		{"a glob of a path", FilterConfig{Exclude: FilterLists{Executables: Globs{"/usr/*/*"}}}, nginx, nil, false},
		{"whose stars do not cross slashes", FilterConfig{Exclude: FilterLists{Executables: Globs{"/usr/*"}}}, nginx, nil, true},
		{"nothing known is in no list", FilterConfig{Include: FilterLists{Executables: Globs{"*"}}}, "", nil, false},
		{"nor in this", FilterConfig{Exclude: FilterLists{Executables: Globs{"*"}, Cgroups: Cgroups{"/kubepods.slice"}}}, "", nil, true},
		{"below a cgroup", FilterConfig{Include: FilterLists{Cgroups: Cgroups{"/kubepods.slice"}}}, nginx, pod, true},
		{"beside it", FilterConfig{Include: FilterLists{Cgroups: Cgroups{"/kubepods"}}}, nginx, pod, false},
		{"a cgroup itself", FilterConfig{Exclude: FilterLists{Cgroups: Cgroups{pod[0]}}}, nginx, pod, false},
		{"both must fit", FilterConfig{Include: FilterLists{Cgroups: Cgroups{"/kubepods.slice"}, Executables: Globs{"redis*"}}}, nginx, pod, false},
		{"excluded among the included", FilterConfig{Include: FilterLists{Cgroups: Cgroups{"/kubepods.slice"}}, Exclude: FilterLists{Executables: Globs{"nginx"}}}, nginx, pod, false},
	} {
		require.Equal(t, c.want, c.filter.wants(c.executable, c.cgroups), c.name)
	}
}

func TestAProcessThatIsGoneIsToldByItsShortName(t *testing.T) {
	c := FilterConfig{Exclude: FilterLists{Executables: Globs{"curl", "/usr/bin/wget"}}}
	f, err := c.open(process.Resolver{Root: t.TempDir()})
	require.NoError(t, err)
	require.False(t, f.Process(42, 1, [16]byte{'c', 'u', 'r', 'l'}))
	require.True(t, f.Process(42, 1, [16]byte{'w', 'g', 'e', 't'}), "its path is not known")
}

func TestFilterMistakes(t *testing.T) {
	const nothing = ": nothing of it would be seen; remove one"
	for text, f := range map[string]FilterConfig{
		"peer_networks: 10.1.0.0/16 is included and, with 10.0.0.0/8, excluded" + nothing: {
			Include: FilterLists{PeerNetworks: Networks{"10.1.0.0/16"}}, Exclude: FilterLists{PeerNetworks: Networks{"10.0.0.0/8"}}},
		"local_networks: ::1/128 is included and, with ::1/128, excluded" + nothing: {
			Include: FilterLists{LocalNetworks: Networks{"::1"}}, Exclude: FilterLists{LocalNetworks: Networks{"::1"}}},
		"ports: 80 is included and, with 1-1023, excluded" + nothing: {
			Include: FilterLists{Ports: Ports{80, 8080}}, Exclude: FilterLists{Ports: Ports{"1-1023"}}},
		"executables: nginx is included and, with nginx, excluded" + nothing: {
			Include: FilterLists{Executables: Globs{"nginx"}}, Exclude: FilterLists{Executables: Globs{"nginx"}}},
		"cgroups: /a/b is included and, with /a, excluded" + nothing: {
			Include: FilterLists{Cgroups: Cgroups{"/a/b"}}, Exclude: FilterLists{Cgroups: Cgroups{"/a"}}},
	} {
		require.ErrorContains(t, f.Validate(), text)
	}
	for _, f := range []FilterConfig{
		{},
		{Include: FilterLists{PeerNetworks: Networks{"10.0.0.0/8"}}, Exclude: FilterLists{PeerNetworks: Networks{"10.1.0.0/16"}}},
		{Include: FilterLists{LocalNetworks: Networks{"10.0.0.0/8"}}, Exclude: FilterLists{PeerNetworks: Networks{"10.0.0.0/8"}}},
		{Include: FilterLists{Ports: Ports{"8000-8999"}}, Exclude: FilterLists{Ports: Ports{8080}}},
		{Include: FilterLists{Cgroups: Cgroups{"/a"}}, Exclude: FilterLists{Cgroups: Cgroups{"/a/b"}}},
	} {
		require.NoError(t, f.Validate())
	}
	require.ErrorContains(t, Globs{"["}.Validate(), `"[" is no glob of executables: write nginx`)
	require.ErrorContains(t, Globs{"bin/nginx"}.Validate(), `"bin/nginx" is no glob`)
	require.ErrorContains(t, Globs{"*/nginx"}.Validate(), `"*/nginx" is no glob`)
	require.ErrorContains(t, Globs{"a", "a"}.Validate(), `"a" is listed twice`)
	require.ErrorContains(t, Cgroups{"system.slice"}.Validate(), `"system.slice" is no cgroup`)
	require.ErrorContains(t, Cgroups{"/"}.Validate(), `"/" is no cgroup`)
	require.ErrorContains(t, Cgroups{"/a/b/", "/a/../b"}.Validate(), `"/a/../b" is no cgroup`)
	require.ErrorContains(t, Cgroups{"/a", "/a/b"}.Validate(), "/a/b is part of /a: remove one")
}
