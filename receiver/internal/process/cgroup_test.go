package process

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	id1 = "1d5f2c0ff1f1b1a6ab8a3bd9f3c8c6b3a9d3e1f0c2b4a6978899aabbccddeeff"
	id2 = "feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface"
	uid = "5f3f7a2e-8a53-4c0e-9d47-0b7f7b3f1c11"
)

var uidUnderscores = strings.ReplaceAll(uid, "-", "_")

var cgroups = []struct {
	name, text, container, pod string
}{
	{"no container, v2", "0::/system.slice/nginx.service\n", "", ""},
	{"the root cgroup", "0::/\n", "", ""},
	{"no container, v1", "12:pids:/user.slice/user-0.slice\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n0::/user.slice\n", "", ""},
	{"containerd, systemd driver, v2", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope\n", id1, uid},
	{"containerd, systemd driver, guaranteed pod", "0::/kubepods.slice/kubepods-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope", id1, uid},
	{"containerd, cgroupfs driver, v2", "0::/kubepods/besteffort/pod" + uid + "/" + id1 + "\n", id1, uid},
	{"containerd, cgroupfs driver, v1", "11:memory:/kubepods/burstable/pod" + uid + "/" + id1 + "\n10:cpu,cpuacct:/kubepods/burstable/pod" + uid + "/" + id1 + "\n", id1, uid},
	{"containerd told slice:prefix:name without systemd", "9:cpuset:/system.slice/containerd.service/kubepods-burstable-pod" + uidUnderscores + ".slice:cri-containerd:" + id1 + "\n", id1, uid},
	{"CRI-O, systemd driver", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidUnderscores + ".slice/crio-" + id1 + ".scope\n", id1, uid},
	{"CRI-O with crun, which adds a child", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidUnderscores + ".slice/crio-" + id1 + ".scope/container\n", id1, uid},
	{"CRI-O, cgroupfs driver", "4:memory:/kubepods/pod" + uid + "/crio-" + id1 + "\n", id1, uid},
	{"the monitor of a CRI-O container is not in it", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidUnderscores + ".slice/crio-conmon-" + id1 + ".scope\n", "", uid},
	{"docker as the runtime of kubernetes, v1", "8:cpu:/kubepods.slice/kubepods-pod" + uidUnderscores + ".slice/docker-" + id1 + ".scope\n", id1, uid},
	{"docker, cgroupfs driver", "0::/docker/" + id1 + "\n", id1, ""},
	{"docker, systemd driver", "0::/system.slice/docker-" + id1 + ".scope\n", id1, ""},
	{"docker with a parent of its own", "0::/team.slice/docker-" + id1 + ".scope\n", id1, ""},
	{"docker on v1 with an unused v2 hierarchy", "12:pids:/docker/" + id1 + "\n1:name=systemd:/docker/" + id1 + "\n0::/system.slice/containerd.service\n", id1, ""},
	{"podman", "0::/machine.slice/libpod-" + id1 + ".scope/container\n", id1, ""},
	{"podman without root", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id1 + ".scope\n", id1, ""},
	{"a pod of podman is no container", "0::/machine.slice/machine-libpod_pod_" + id2 + ".slice/libpod-" + id1 + ".scope\n", id1, ""},
	{"the monitor of a podman container", "0::/machine.slice/libpod-conmon-" + id1 + ".scope\n", "", ""},
	{"nerdctl", "0::/system.slice/nerdctl-" + id1 + ".scope\n", id1, ""},
	{"kind: a pod in a node in a docker container", "0::/docker/" + id2 + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope\n", id1, uid},
	{"kind: a process of the node itself", "0::/docker/" + id2 + "/system.slice/containerd.service\n", id2, ""},
	{"kind with systemd below systemd", "0::/system.slice/docker-" + id2 + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope\n", id1, uid},
	{"k3s", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope\n", id1, uid},
	{"k3d: k3s in docker", "0::/docker/" + id2 + "/kubepods/besteffort/pod" + uid + "/" + id1 + "\n", id1, uid},
	{"k3d with the cgroupfs driver on v1", "6:memory:/docker/" + id2 + "/kubelet/kubepods/burstable/pod" + uid + "/" + id1 + "\n", id1, uid},
	{"k3s below a systemd service", "0::/system.slice/k3s.service/kubepods/besteffort/pod" + uid + "/" + id1 + "\n", id1, uid},
	{"k3s itself is in no container", "0::/system.slice/k3s.service\n", "", ""},
	{"rke2 told slice:prefix:name without systemd, v2", "0::/system.slice/rke2-server.service/kubepods-besteffort-pod" + uidUnderscores + ".slice:cri-containerd:" + id1 + "\n", id1, uid},
	{"minikube: docker in docker through cri-dockerd", "0::/system.slice/docker-" + id2 + ".scope/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidUnderscores + ".slice/docker-" + id1 + ".scope\n", id1, uid},
	{"a cgroup of its own below the container's, v2", "0::/kubepods.slice/kubepods-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope/init\n", id1, uid},
	{"ECS", "9:memory:/ecs/0123456789abcdef0123456789abcdef/" + id1 + "\n", id1, ""},
	{"ECS with systemd", "0::/ecstasks.slice/ecstasks-0123456789abcdef0123456789abcdef.slice/docker-" + id1 + ".scope\n", id1, ""},
	{"docker in a pod: the pod's container, which kubernetes knows", "0::/kubepods/burstable/pod" + uid + "/" + id1 + "/docker/" + id2 + "\n", id1, uid},
	{"systemd in a pod's container", "0::/kubepods/burstable/pod" + uid + "/" + id1 + "/system.slice/nginx.service\n", id1, uid},
	{"relative to the reader's cgroup namespace", "0::/../../kubepods-burstable-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope\n", id1, uid},
	{"relative to the root of a kind node", "0::/../../../kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + uidUnderscores + ".slice/cri-containerd-" + id1 + ".scope\n", id1, uid},
	{"relative, cgroupfs driver", "0::/../../pod" + uid + "/" + id1 + "\n", id1, uid},
	{"the reader's own cgroup namespace", "0::/../..\n", "", ""},
	{"another container of the reader's pod", "0::/../cri-containerd-" + id1 + ".scope\n", id1, ""},
	{"a static pod has no uid that the API server knows", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0123456789abcdef0123456789abcdef.slice/cri-containerd-" + id1 + ".scope\n", id1, ""},
	{"the process is gone", "0::/system.slice/docker-" + id1 + ".scope (deleted)\n", id1, ""},
	{"hierarchies differ: the line with both wins", "3:cpu:/docker/" + id2 + "\n2:pids:/kubepods/pod" + uid + "/" + id1 + "\n", id1, uid},
	{"ids of other lengths are none", "0::/docker/" + id1[:12] + "\n", "", ""},
	{"nor are 64 other characters", "0::/docker/" + strings.Repeat("z", 64) + "\n", "", ""},
	{"nor upper-case ones", "0::/docker/" + strings.ToUpper(id1) + "\n", "", ""},
	{"a hash in a longer word is no id", "0::/x/build" + id1 + "\n", "", ""},
	{"words that end in pod", "0::/kubepods/tripod/pod/pod-1/podruntime.slice\n", "", ""},
	{"a uid with its dashes elsewhere", "0::/kubepods/pod5f3f7a2e8-a53-4c0e-9d47-0b7f7b3f1c11/" + id1 + "\n", id1, ""},
	{"no line at all", "", "", ""},
	{"lines that are none", "\n::\n0:\nx\n", "", ""},
}

func TestCgroup(t *testing.T) {
	for _, c := range cgroups {
		t.Run(c.name, func(t *testing.T) {
			container, pod := parseCgroup([]byte(c.text))
			assert.Equal(t, c.container, container, "container")
			assert.Equal(t, c.pod, pod, "pod")
		})
	}
}

func FuzzCgroup(f *testing.F) {
	for _, c := range cgroups {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		container, pod := parseCgroup(text)
		if container != "" && (len(container) != 64 || !isHex(container) || !strings.Contains(string(text), container)) {
			t.Errorf("container %q", container)
		}
		if pod != "" && (len(pod) != 36 || strings.Count(pod, "-") != 4 || !isHex(strings.ReplaceAll(pod, "-", ""))) {
			t.Errorf("pod %q", pod)
		}
	})
}
