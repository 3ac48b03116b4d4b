package process

import (
	"slices"
	"strings"
)

// option says what follows an option on a command line.
type option uint8

const (
	flag  option = iota // nothing: what is not in the table
	value               // a value, in the same or in the next argument
	rest                // a value in the same argument or none
	name                // the program's name, in the same or in the next argument
	code                // code, or something else that is no name
)

// An interpreter is an executable that runs programs with names of their own.
type interpreter struct {
	options  map[string]option // spelled whole
	clusters bool              // one-letter options can be written together: -um
	verbs    []string          // commands that stand before the program
	classes  bool              // a program is a class: its name is what follows the last dot
}

// interpreters is keyed by executable, without digits and dots at its end.
var interpreters = map[string]interpreter{
	"bash": shell, "sh": shell, "dash": shell, "ash": shell, "ksh": shell, "zsh": shell,
	"python": python, "pypy": python,
	"node": node, "nodejs": node,
	"lua": lua, "luajit": lua,
	"deno": {verbs: []string{"run", "serve"}, options: map[string]option{
		"-c": value, "--config": value, "--import-map": value, "--env-file": rest, "eval": code,
	}},
	"bun": {verbs: []string{"run"}, options: map[string]option{
		"-c": value, "--config": value, "-r": value, "--preload": value, "--cwd": value, "--port": value,
		"-e": code, "--eval": code, "-p": code, "--print": code,
	}},
	// docs.oracle.com, "The java Command".
	"java": {classes: true, options: map[string]option{
		"-jar": name, "-m": name, "--module": name,
		"-cp": value, "-classpath": value, "--class-path": value, "-p": value, "--module-path": value,
		"--upgrade-module-path": value, "--add-modules": value, "--add-exports": value, "--add-opens": value,
		"--add-reads": value, "--limit-modules": value, "--patch-module": value, "--source": value,
		"--enable-native-access": value, "-d": value, "--describe-module": value,
	}},
	"ruby": {clusters: true, options: map[string]option{
		"-e": code, "-I": value, "-r": value, "-C": value, "-E": value, "--encoding": value,
		"-F": rest, "-K": rest, "-T": rest, "-W": rest, "-i": rest, "-x": rest, "-0": rest,
	}},
	"php": {clusters: true, options: map[string]option{
		"-f": name, "--file": name, "-c": value, "-d": value, "-z": value, "-S": value, "-t": value,
		"-r": code, "-R": code, "-B": code, "-E": code, "-F": code, "-a": code,
	}},
	"perl": {clusters: true, options: map[string]option{
		"-e": code, "-E": code, "-I": value, "-M": rest, "-m": rest, "-i": rest, "-x": rest, "-0": rest,
		"-l": rest, "-C": rest, "-d": rest, "-D": rest, "-F": rest,
	}},
	"dotnet": {verbs: []string{"exec"}, options: map[string]option{
		"--depsfile": value, "--runtimeconfig": value, "--additionalprobingpath": value,
		"--additional-deps": value, "--fx-version": value, "--roll-forward": value,
		"run": code, "watch": code, "test": code, "build": code, "publish": code,
	}},
	"mono": {options: map[string]option{"--config": value}},
}

var (
	python = interpreter{clusters: true, options: map[string]option{
		"-m": name, "-c": code, "-W": value, "-X": value, "--check-hash-based-pycs": value,
	}}
	node = interpreter{options: map[string]option{
		"-r": value, "--require": value, "--import": value, "--loader": value, "--experimental-loader": value,
		"-C": value, "--conditions": value, "--env-file": value, "--title": value, "--icu-data-dir": value,
		"--openssl-config": value, "--inspect-port": value, "--input-type": value,
		"-e": code, "--eval": code, "-p": code, "--print": code, "-pe": code, "-i": code, "--run": code,
	}}
	shell = interpreter{clusters: true, options: map[string]option{
		"-c": code, "-s": code, "-o": value, "-O": value, "+o": value, "+O": value,
		"--rcfile": value, "--init-file": value,
	}}
	lua = interpreter{options: map[string]option{"-e": value, "-l": value}}
)

// program returns what a command line runs, as it is written there, or empty
// when that has no name. args begin after the interpreter.
func (in interpreter) program(args []string) string {
	if len(args) > 0 && slices.Contains(in.verbs, args[0]) {
		args = args[1:]
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		what, attached := in.option(arg)
		switch {
		case what == code, arg == "-":
			return ""
		case what == name && attached != "":
			return in.class(arg, attached)
		case what == name:
			return in.class(arg, first(args))
		case what == value && attached == "":
			args = args[min(1, len(args)):]
		case arg == "--":
			return in.class("", first(args))
		case what == flag && !strings.ContainsAny(arg[:min(1, len(arg))], "-+@"):
			return in.class("", arg)
		}
	}
	return ""
}

// option looks an argument up, and returns the value written in it, if any.
func (in interpreter) option(arg string) (what option, attached string) {
	if what, ok := in.options[arg]; ok {
		return what, ""
	}
	if k, v, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(k, "--") {
		return in.options[k], v
	}
	if in.clusters && len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
		for i := 1; i < len(arg); i++ {
			if what := in.options["-"+arg[i:i+1]]; what != flag {
				return what, arg[i+1:]
			}
		}
	}
	return flag, ""
}

// class returns the simple name of a program that is a class: Main for
// com.example.Main and for module/com.example.Main. What opt names otherwise, as
// the file of -jar, it leaves as it is.
func (in interpreter) class(opt, program string) string {
	if !in.classes || opt == "-jar" || strings.HasSuffix(program, ".java") {
		return program
	}
	program = program[strings.LastIndexByte(program, '/')+1:]
	return program[strings.LastIndexByte(program, '.')+1:]
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
