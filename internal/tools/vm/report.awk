# Makes of a virtual machine's console a line for each package that it tested, with what was skipped and why, and the
# output of what failed. Exits with 1 if anything did.
#   -v kernel=NAME -v wall=SECONDS

{ tail[NR % 40] = $0 }

/^vm: run / { package = $3; start = $4; forget(); next }
/^vm: exit / { ended($3, $4 - start); package = ""; next }
/^vm: warned/ { warned = 1; failed = 1 }
/^vm: done/ { done = 1; next }
warned { warning = warning "  " $0 "\n" }

# go test -v: what follows "=== RUN name" is of that test, until another is named or its result comes.
/^=== (RUN|NAME|CONT|PAUSE) / { begin($3); next }
/^ *--- (PASS|FAIL|SKIP): / { sub(/:$/, "", $2); begin($3); result[$3] = $2; test = ""; next }
/^(PASS|FAIL)$/ { next }
package { output[test] = output[test] "    " $0 "\n" }

END {
	if (package) ended("without an end", wall - start)
	printf "%s", warning
	if (!done) {
		failed = 1
		printf "FAIL  %-15s  did not come to its end\n", kernel
		if (!package) for (i = NR - 39; i <= NR; i++) if (i > 0) print "    " tail[i % 40]
	}
	printf "%s  %-15s  %d s with boot\n", failed ? "FAIL" : "ok  ", kernel, wall
	exit failed
}

function forget() {
	delete result; delete output; delete parent; delete names
	count = 0; test = ""
}

function begin(name,   up) {
	test = name
	if (name in result) return
	names[++count] = name
	result[name] = "FAIL" # unless it comes to its end
	for (up = name; sub(/\/[^\/]*$/, "", up);) parent[up] = 1
}

# A test with tests in it counts by these, unless only it failed.
function ended(code, seconds,   i, name, n, reason, reasons, bad) {
	for (i = 1; i <= count; i++) {
		name = names[i]
		if (result[name] == "FAIL" && output[name] != "" || !(name in parent)) n[result[name]]++
		if (result[name] == "SKIP") {
			reason = output[name]
			sub(/^ *[a-z0-9_]+\.go:[0-9]+: /, "", reason)
			reasons[reason]++
		}
	}
	bad = code != 0 || n["FAIL"] || count == 0 && !ENVIRON["VMTEST_RUN"] # or its regular expression is out of date
	if (bad) failed = 1
	printf "%s  %-15s  %s: %d passed, %d failed, %d skipped, exit %s, %d s\n", bad ? "FAIL" : "ok  ", kernel, package,
		n["PASS"], n["FAIL"], n["SKIP"], code, seconds
	for (reason in reasons) printf "      %d skipped: %s", reasons[reason], reason
	for (i = 1; i <= count; i++)
		if (result[names[i]] == "FAIL" && output[names[i]] != "") printf "    --- %s\n%s", names[i], output[names[i]]
	if (bad && output[""] != "") printf "    ---\n%s", output[""]
}
