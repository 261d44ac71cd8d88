#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests.
#
#   tools/test.sh           all stages
#   tools/test.sh --quick   the first stage only
#
# Stage by stage: gcc with warnings as errors; clang with the address and undefined
# behaviour sanitizers; gcc with the thread sanitizer; the unit suites under
# valgrind; a program of one's own against an installed Hawser; the scripts.
# Each builds in its own folder build-NAME/ and leaves nothing elsewhere. A failed stage
# does not keep the next from running; the last line counts, and the exit status is
# 0 only if nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=
case ${1-} in
'') ;;
--quick) quick=1 ;;
*)
	echo "usage: tools/test.sh [--quick]" >&2
	exit 2
	;;
esac

jobs=$(nproc)
stages=0 failed_stages=()
passed=0 failed=0 skipped=0

# A report ends the program that it is about, with a status that fails the test.
export ASAN_OPTIONS=abort_on_error=0:exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:exitcode=99:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:exitcode=99:second_deadlock_stack=1
# Nothing is left in the source tree.
export PYTHONDONTWRITEBYTECODE=1

duration() {
	if (($1 < 60)); then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

# build NAME COMPILER OPTION...: configures and builds build-NAME; quiet if that works.
build() {
	local log=build-$1/build.log
	mkdir -p "build-$1"
	configure_and_compile "$@" >"$log" 2>&1 || {
		tail -n 80 "$log" >&2
		return 1
	}
}

configure_and_compile() {
	local dir=build-$1 compiler=$2
	shift 2
	if [[ -f $dir/build.ninja ]]; then
		meson configure "$dir" "$@"
	else
		CC=$compiler meson setup "$dir" "$@"
	fi && ninja -C "$dir"
}

# run NAME LOG OPTION...: runs tests of build-NAME and counts them in meson's log.
run() {
	local dir=build-$1 log=build-$1/meson-logs/$2.json status=0 counts ok bad unused name
	shift 2
	rm -f "$log"
	meson test -C "$dir" --no-rebuild --quiet --print-errorlogs --num-processes "$jobs" \
		"$@" || status=$?
	if [[ ! -s $log ]]; then
		echo "no test ran in $dir" >&2
		return 1
	fi
	mapfile -t counts < <(python3 tools/count_tests.py "$log")
	read -r ok bad unused <<<"${counts[0]}"
	((passed += ok, failed += bad, skipped += unused)) || true
	printf '  %d passed, %d failed, %d skipped\n' "$ok" "$bad" "$unused"
	for name in "${counts[@]:1}"; do
		printf '  FAILED  %s\n' "$name"
	done
	return "$status"
}

# check WHAT COMMAND...: one test of its own.
check() {
	local what=$1 log
	shift
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		((passed += 1))
		printf '  ok      %s\n' "$what"
		rm -f "$log"
	else
		((failed += 1))
		printf '  FAILED  %s\n' "$what"
		cat "$log" >&2
		rm -f "$log"
		return 1
	fi
}

# stage TITLE FUNCTION: a failure inside is remembered, and the next stage follows.
stage() {
	local title=$1 started=$SECONDS before=$failed
	((stages += 1))
	printf '\n== %d. %s\n' "$stages" "$title"
	if ! "$2"; then
		failed_stages+=("$title")
		# The build broke, or no test said that it was at fault.
		((failed > before)) || ((failed += 1))
	fi
	printf '  %s\n' "$(duration $((SECONDS - started)))"
}

# The .proto files of Debian's development packages: downloaded and unpacked once, not
# installed. What cannot be had is named, and the test does with the rest.
fetch_corpus() {
	[[ $(id -u) -eq 0 ]] || return 0
	timeout 300 sh tests/gen/fetch-corpus.sh "$PWD/build-corpus" >build-corpus.log 2>&1 || true
	sed 's/^/  corpus: /' build-corpus.log
}

gcc_stage() {
	fetch_corpus
	build gcc gcc -Dbuildtype=debugoptimized -Dwerror=true &&
		HAWSER_CORPUS=$PWD/build-corpus run gcc testlog
}

clang_stage() {
	build asan clang -Dbuildtype=debugoptimized -Dwerror=true -Db_lundef=false \
		-Db_sanitize=address,undefined &&
		run asan testlog --no-suite checks --no-suite bench --timeout-multiplier 4
}

tsan_stage() {
	build tsan gcc -Dbuildtype=debugoptimized -Db_lundef=false -Db_sanitize=thread &&
		run tsan testlog --no-suite checks --no-suite bench --no-suite gen \
			--timeout-multiplier 8
}

# The tests that are programs of this build, not scripts; a client's or server's child
# processes run without valgrind. "unicode" makes a million calls.
valgrind_tests() {
	meson introspect --tests build-gcc | python3 -c '
import json, os, sys
build = os.path.realpath("build-gcc") + os.sep
for test in json.load(sys.stdin):
    ours = os.path.realpath(test["cmd"][0]).startswith(build)
    if ours and "hawser:bench" not in test["suite"] and test["name"] != "unicode":
        print(test["name"])'
}

valgrind_stage() {
	local tests
	mapfile -t tests < <(valgrind_tests)
	CK_FORK=no HAWSER_TEST_DIVISOR=50 run gcc testlog-valgrind "${tests[@]}" --timeout-multiplier 20 \
		--wrapper 'valgrind --quiet --vgdb=no --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=30'
}

install_stage() {
	local prefix=$PWD/build-install/prefix
	rm -rf "$prefix"
	build install gcc -Dbuildtype=release -Dwerror=true -Dtests=false -Dprefix="$prefix" -Dlibdir=lib &&
		check 'installs' meson install -C build-install --no-rebuild --quiet &&
		check 'a greeter with the shared library' tests/install/greeter.sh "$prefix" shared &&
		check 'a greeter with the static library' tests/install/greeter.sh "$prefix" static
}

scripts_stage() {
	check 'shellcheck' shellcheck .ci/run tools/*.sh tests/install/*.sh
}

started=$SECONDS
tools/setup.sh test
stage 'gcc, warnings as errors' gcc_stage
if [[ ! $quick ]]; then
	stage 'clang, address and undefined behaviour sanitizers' clang_stage
	stage 'gcc, thread sanitizer' tsan_stage
	stage 'valgrind' valgrind_stage
	stage 'an installed Hawser, used from outside' install_stage
	stage 'scripts' scripts_stage
fi

echo
for title in "${failed_stages[@]}"; do
	echo "failed: $title"
done
printf 'hawser: %d tests passed, %d failed, %d skipped in %d stages (%s)\n' \
	"$passed" "$failed" "$skipped" "$stages" "$(duration $((SECONDS - started)))"
((failed == 0))
