package kubernetes

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const examples = "../../examples/kubernetes"

// overlays are what a user applies.
var overlays = []string{"base", "gateway"}

// manifests are the objects of an overlay, by name where there are several.
type manifests struct {
	namespace   *corev1.Namespace
	accounts    map[string]*corev1.ServiceAccount
	configs     map[string]*corev1.ConfigMap
	roles       map[string]*rbacv1.ClusterRole
	bindings    map[string]*rbacv1.ClusterRoleBinding
	secrets     map[string]*corev1.Secret
	services    map[string]*corev1.Service
	daemonSets  map[string]*appsv1.DaemonSet
	deployments map[string]*appsv1.Deployment
	budgets     map[string]*policyv1.PodDisruptionBudget
}

// render returns the objects of an overlay. Each is decoded strictly: a field
// that Kubernetes does not know, or that stands twice, is an error.
func render(t *testing.T, overlay string) manifests {
	t.Helper()
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(examples, overlay))
	if err != nil {
		t.Fatal(err)
	}
	m := manifests{
		accounts:    make(map[string]*corev1.ServiceAccount),
		configs:     make(map[string]*corev1.ConfigMap),
		roles:       make(map[string]*rbacv1.ClusterRole),
		bindings:    make(map[string]*rbacv1.ClusterRoleBinding),
		secrets:     make(map[string]*corev1.Secret),
		services:    make(map[string]*corev1.Service),
		daemonSets:  make(map[string]*appsv1.DaemonSet),
		deployments: make(map[string]*appsv1.Deployment),
		budgets:     make(map[string]*policyv1.PodDisruptionBudget),
	}
	for _, r := range all.Resources() {
		text := r.MustYaml()
		name := r.GetName()
		switch kind := r.GetApiVersion() + " " + r.GetKind(); kind {
		case "v1 Namespace":
			m.namespace = decode[corev1.Namespace](t, text)
		case "v1 ServiceAccount":
			m.accounts[name] = decode[corev1.ServiceAccount](t, text)
		case "v1 ConfigMap":
			m.configs[name] = decode[corev1.ConfigMap](t, text)
		case "v1 Secret":
			m.secrets[name] = decode[corev1.Secret](t, text)
		case "v1 Service":
			m.services[name] = decode[corev1.Service](t, text)
		case "rbac.authorization.k8s.io/v1 ClusterRole":
			m.roles[name] = decode[rbacv1.ClusterRole](t, text)
		case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
			m.bindings[name] = decode[rbacv1.ClusterRoleBinding](t, text)
		case "apps/v1 DaemonSet":
			m.daemonSets[name] = decode[appsv1.DaemonSet](t, text)
		case "apps/v1 Deployment":
			m.deployments[name] = decode[appsv1.Deployment](t, text)
		case "policy/v1 PodDisruptionBudget":
			m.budgets[name] = decode[policyv1.PodDisruptionBudget](t, text)
		default:
			t.Fatalf("%s: no type is known for %s %q", overlay, kind, name)
		}
	}
	return m
}

func decode[T any](t *testing.T, text string) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
		t.Fatalf("%v, in:\n%s", err, text)
	}
	return object
}

// A template is a pod template, with the selector that has to match it.
type template struct {
	corev1.PodTemplateSpec
	selector *metav1.LabelSelector
}

func (m manifests) templates() map[string]template {
	all := make(map[string]template)
	for name, d := range m.daemonSets {
		all[name] = template{d.Spec.Template, d.Spec.Selector}
	}
	for name, d := range m.deployments {
		all[name] = template{d.Spec.Template, d.Spec.Selector}
	}
	return all
}

// environment returns what a container finds in its environment.
func (m manifests) environment(t *testing.T, c corev1.Container) map[string]string {
	env := make(map[string]string)
	for _, from := range c.EnvFrom {
		config, ok := m.configs[from.ConfigMapRef.Name]
		if !ok {
			t.Errorf("there is no ConfigMap %q", from.ConfigMapRef.Name)
			continue
		}
		maps.Copy(env, config.Data)
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil {
			env[e.Name] = e.ValueFrom.FieldRef.FieldPath
		}
	}
	return env
}

// A configuration is one of those that a collector puts together.
type configuration struct{ file, text string }

// configurations returns those of the collector in a pod, in the order in which
// it is given them.
func (m manifests) configurations(t *testing.T, pod corev1.PodSpec) (all []configuration) {
	t.Helper()
	c, volume := pod.Containers[0], pod.Volumes[0].ConfigMap.Name
	config, ok := m.configs[volume]
	if !ok {
		t.Fatalf("there is no ConfigMap %q", volume)
	}
	for i := 0; i+1 < len(c.Args); i += 2 {
		dir, file := filepath.Split(c.Args[i+1])
		text, ok := config.Data[file]
		if c.Args[i] != "--config" || dir != c.VolumeMounts[0].MountPath+"/" || !ok {
			t.Errorf("%s %s is not in the ConfigMap %q that is mounted", c.Args[i], c.Args[i+1], volume)
		}
		all = append(all, configuration{file, text})
	}
	if len(all) == 0 {
		t.Errorf("the collector is given no configuration: %q", c.Args)
	}
	return all
}

func TestThePartsOfAnOverlayReferToEachOther(t *testing.T) {
	for _, overlay := range overlays {
		m := render(t, overlay)
		for name, p := range m.templates() {
			for k, v := range p.selector.MatchLabels {
				if p.Labels[k] != v {
					t.Errorf("%s: %s selects %s=%s, which its pods are not", overlay, name, k, v)
				}
			}
			if m.accounts[p.Spec.ServiceAccountName] == nil {
				t.Errorf("%s: there is no ServiceAccount %q", overlay, p.Spec.ServiceAccountName)
			}
			c := p.Spec.Containers[0]
			var ports []string
			for _, port := range c.Ports {
				ports = append(ports, port.Name)
			}
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				if !slices.Contains(ports, probe.HTTPGet.Port.StrVal) {
					t.Errorf("%s: %s has no port %q", overlay, name, probe.HTTPGet.Port.StrVal)
				}
			}
		}
		for name, b := range m.bindings {
			subject := b.Subjects[0]
			if m.roles[b.RoleRef.Name] == nil || m.accounts[subject.Name] == nil || subject.Namespace != m.namespace.Name {
				t.Errorf("%s: %s binds what there is not", overlay, name)
			}
		}
	}
}

func TestKubernetesUnderstandsTheBookstore(t *testing.T) {
	if m := render(t, "../bookstore/kubernetes"); len(m.deployments) == 0 || len(m.services) == 0 {
		t.Error("there is nothing in it")
	}
}

var variable = regexp.MustCompile(`\$\{env:([A-Z_0-9]+)`)

func TestTheCollectorsConfigurationsAreValid(t *testing.T) {
	collector := collectorPath(t)
	for _, overlay := range overlays {
		m := render(t, overlay)
		for name, p := range m.templates() {
			dir, env := t.TempDir(), m.environment(t, p.Spec.Containers[0])
			cmd := exec.Command(collector, "validate")
			for _, config := range m.configurations(t, p.Spec) {
				for _, v := range variable.FindAllStringSubmatch(config.text, -1) {
					if _, ok := env[v[1]]; !ok {
						t.Errorf("%s: %s does not set %s, which %s uses", overlay, name, v[1], config.file)
					}
				}
				path := filepath.Join(dir, config.file)
				write(t, path, config.text)
				cmd.Args = append(cmd.Args, "--config", path)
			}
			for k, v := range env {
				cmd.Env = append(cmd.Env, k+"="+v)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", overlay, name, err, out)
			}
		}
	}
}

// values are those of the Helm chart that stand for what base has.
type values struct {
	Mode            string                      `json:"mode"`
	Image           map[string]string           `json:"image"`
	Command         map[string]string           `json:"command"`
	HostPID         bool                        `json:"hostPID"`
	Priority        string                      `json:"priorityClassName"`
	Tolerations     []corev1.Toleration         `json:"tolerations"`
	NodeSelector    map[string]string           `json:"nodeSelector"`
	SecurityContext corev1.SecurityContext      `json:"securityContext"`
	Resources       corev1.ResourceRequirements `json:"resources"`
	UseGOMEMLIMIT   bool                        `json:"useGOMEMLIMIT"`
	ExtraEnvs       []corev1.EnvVar             `json:"extraEnvs"`
	ClusterRole     struct {
		Create bool                `json:"create"`
		Rules  []rbacv1.PolicyRule `json:"rules"`
	} `json:"clusterRole"`
	Ports  map[string]struct{ Enabled bool } `json:"ports"`
	Config map[string]any                    `json:"alternateConfig"`
}

func TestTheHelmValuesAreThoseOfTheBase(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(examples, "helm", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	v := decode[values](t, string(text))
	m := render(t, "base")
	pod := m.daemonSets["perisco-agent"].Spec.Template.Spec
	c := pod.Containers[0]
	same(t, "configuration", *decode[map[string]any](t, m.configurations(t, pod)[0].text), v.Config)
	same(t, "securityContext", c.SecurityContext, &v.SecurityContext)
	same(t, "resources", c.Resources, v.Resources)
	same(t, "rules", m.roles["perisco-agent"].Rules, v.ClusterRole.Rules)
	same(t, "tolerations", pod.Tolerations, v.Tolerations)
	same(t, "image", c.Image, v.Image["repository"]+":"+v.Image["tag"])
	same(t, "hostPID", pod.HostPID, v.HostPID)
	for _, e := range v.ExtraEnvs {
		if _, ok := m.environment(t, c)[e.Name]; !ok {
			t.Errorf("the base does not set %s", e.Name)
		}
	}
}

// same compares what is written the same way.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	a, errA := yaml.Marshal(want)
	b, errB := yaml.Marshal(got)
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("%s differs: the base has\n%s\nand the Helm values\n%s", what, a, b)
	}
}

// collectorPath returns the collector that is tested.
func collectorPath(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PERISCO_COLLECTOR")
	if path == "" {
		path = filepath.Join("..", "..", "_build", "otelcol-perisco")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("there is no collector to test: %v: make collector", err)
	}
	return path
}
