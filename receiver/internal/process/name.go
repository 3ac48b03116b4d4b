package process

import (
	"bytes"
	"net/url"
	"strings"
)

// maxName bounds a service's name. A longer one is not one.
const maxName = 255

// declaredName returns the name that the user gave the process, by the
// environment variables of the OpenTelemetry SDKs. OTEL_SERVICE_NAME wins.
func declaredName(environ []byte) string {
	var name string
	for len(environ) > 0 {
		var entry []byte
		entry, environ, _ = bytes.Cut(environ, []byte{0})
		if v, ok := bytes.CutPrefix(entry, []byte("OTEL_SERVICE_NAME=")); ok {
			if s := validName(string(v)); s != "" {
				return s
			}
		}
		if v, ok := bytes.CutPrefix(entry, []byte("OTEL_RESOURCE_ATTRIBUTES=")); ok {
			name = validName(resourceAttribute(string(v), "service.name"))
		}
	}
	return name
}

// resourceAttribute finds key in a comma-separated list of key=value, where
// values are percent-encoded (OpenTelemetry specification, Resource SDK).
func resourceAttribute(list, key string) string {
	for pair := range strings.SplitSeq(list, ",") {
		k, v, _ := strings.Cut(pair, "=")
		if strings.TrimSpace(k) != key {
			continue
		}
		if s, err := url.PathUnescape(strings.TrimSpace(v)); err == nil {
			return s
		}
	}
	return ""
}

// programName names what runs: the script, module or jar for an interpreter,
// the applet for a multi-call binary, else the executable.
func programName(executable string, args []string) string {
	if len(args) > 0 && (executable == "busybox" || executable == "toybox") {
		executable = base(strings.TrimPrefix(args[0], "-"))
	}
	// python3.11, ruby3.1, php8.2
	if in, ok := interpreters[strings.TrimRight(executable, "0123456789.")]; ok && len(args) > 1 {
		if name := validName(cleanName(in.program(args[1:]))); name != "" {
			return name
		}
	}
	return validName(executable)
}

// cleanName turns a path into the name of a program: its last element without
// the extensions that interpreters know.
func cleanName(program string) string {
	name := base(program)
	if strings.TrimSuffix(name, ".py") == "__main__" { // a directory that is run
		name = base(strings.TrimSuffix(program, name))
	}
	for _, ext := range []string{
		".py", ".pyc", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".mts", ".rb", ".php", ".phar", ".pl",
		".sh", ".bash", ".lua", ".jar", ".war", ".java", ".dll", ".exe",
	} {
		if s, ok := strings.CutSuffix(name, ext); ok {
			return s
		}
	}
	return name
}

// base returns the last element of a path, empty if that is no name.
func base(path string) string {
	path = strings.TrimRight(path, "/")
	path = path[strings.LastIndexByte(path, '/')+1:]
	if path == "." || path == ".." {
		return ""
	}
	return path
}

func validName(s string) string {
	if len(s) > maxName {
		return ""
	}
	return strings.TrimSpace(printable(s))
}
