package process

import "strings"

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
