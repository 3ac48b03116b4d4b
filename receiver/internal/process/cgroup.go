package process

import (
	"bytes"
	"strings"
)

// parseCgroup finds the container and the pod in the text of
// /proc/<pid>/cgroup, which has one line of "hierarchy:controllers:path" for
// each v1 hierarchy, and one of "0::path" for v2.
//
// The lines of v1 can differ: a nested container engine may own some of the
// hierarchies only. The first that names both wins, else the first that names
// a container.
func parseCgroup(text []byte) (container, pod string) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		fields := bytes.SplitN(line, []byte{':'}, 3) // the path may hold colons
		if len(fields) != 3 {
			continue
		}
		c, p := parsePath(strings.TrimSuffix(string(fields[2]), deleted))
		switch {
		case c != "" && p != "":
			return c, p
		case c != "" && container == "", container == "" && pod == "":
			container, pod = c, p
		}
	}
	return container, pod
}

// cgroupPaths returns the paths in the text of /proc/<pid>/cgroup.
func cgroupPaths(text []byte) (paths []string) {
	for line := range bytes.Lines(text) {
		if fields := bytes.SplitN(bytes.TrimSpace(line), []byte{':'}, 3); len(fields) == 3 {
			paths = append(paths, string(fields[2]))
		}
	}
	return paths
}

// parsePath reads the names of a cgroup path from the root down. Where there
// is a pod, the container is the kubelet's: the first one below the last pod.
// What comes before it is a node in a container (kind, k3d), what comes after
// it a container engine in a container. Without a pod it is the innermost.
//
// Paths need not begin at the root: in a cgroup namespace they are relative to
// the reader's own, "/../cri-containerd-….scope".
func parsePath(path string) (container, pod string) {
	inPod := false
	// Colons separate as well: runc writes slice:prefix:name literally when
	// the container engine means systemd and it does not.
	for name := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == ':' }) {
		if uid, ok := podName(name); ok {
			inPod, pod, container = true, uid, ""
		} else if id, ok := containerName(name); ok && (!inPod || container == "") {
			container = id
		}
	}
	return container, pod
}

// containerName recognises <id>, <engine>-<id> and <engine>-<id>.scope.
// What monitors a container, such as crio-conmon-<id>.scope, is not in it, and
// the .slice of a podman pod (machine-libpod_pod_<id>.slice) is none.
func containerName(name string) (id string, ok bool) {
	const digits = 64 // SHA-256; k8s_attributes wants them all
	name = strings.TrimSuffix(name, ".scope")
	if len(name) < digits {
		return "", false
	}
	prefix, id := name[:len(name)-digits], name[len(name)-digits:]
	if prefix != "" && !strings.HasSuffix(prefix, "-") || strings.HasSuffix(prefix, "conmon-") || !isHex(id) {
		return "", false
	}
	return id, true
}

// podName recognises pod<uid> (cgroupfs driver) and <anything>-pod<uid>.slice
// (systemd driver, with _ for -). A static pod has a hash for a uid there,
// which is not the one that the API server knows it by: it is a pod without
// a uid.
func podName(name string) (uid string, ok bool) {
	name = strings.TrimSuffix(name, ".slice")
	i := strings.LastIndex(name, "pod")
	if i < 0 || i > 0 && name[i-1] != '-' {
		return "", false
	}
	uid = name[i+len("pod"):]
	if len(uid) == 32 && isHex(uid) {
		return "", true
	}
	uid = strings.ReplaceAll(uid, "_", "-")
	if len(uid) != 36 {
		return "", false
	}
	for i, c := range []byte(uid) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !isHexDigit(c) {
			return "", false
		}
	}
	return uid, true
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if !isHexDigit(c) {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
