#!/usr/bin/env bash
# The main job on real input: builds Hawser, starts a name normalizer, and lets
# eight worker processes send it every name in Debian's iso-codes.
#
#   tools/demo.sh [--workers N] [--passes N]
#
# Ends with status 0 only if every name was answered rightly and the server ended
# as it should.
set -euo pipefail
cd "$(dirname "$0")/.."

bold='' plain=''
if [[ -t 1 ]]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi

heading() {
	printf '\n%s%s%s\n\n' "$bold" "$1" "$plain"
}

fail() {
	printf 'demo: %s\n' "$1" >&2
	exit 1
}

server=
scratch=$(mktemp -d)
clean_up() {
	if [[ $server ]] && kill -0 "$server" 2>/dev/null; then
		kill "$server"
	fi
	rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# quietly WHAT COMMAND...: shows the end of the output, and that only if the command fails.
quietly() {
	local what=$1 started=$SECONDS
	shift
	printf '  %-34s' "$what"
	if ! "$@" >"$scratch/log" 2>&1; then
		echo 'failed'
		tail -n 60 "$scratch/log" >&2
		exit 1
	fi
	printf 'done (%d s)\n' $((SECONDS - started))
}

configure() {
	local needed=(-Dexamples=true -Dtools=true)
	if [[ -f build/build.ninja ]]; then
		meson configure build "${needed[@]}"
	else
		meson setup build -Dbuildtype=release -Dtests=false "${needed[@]}"
	fi
}

heading 'Hawser: every name in the world, through a normalizer'
tools/setup.sh demo
quietly 'configure in build/' configure
quietly 'library, generator, programs' ninja -C build

normalizer=build/tools/examples/normalizer/hawser-normalizer
demo=build/tools/examples/normalizer/normalizer-demo

heading 'The server'
unix=unix:$scratch/normalizer.sock
exec {output}< <(exec "$normalizer" --listen tcp:127.0.0.1:0 --listen "$unix" --allow-shutdown)
server=$!
read -r -t 10 _ _ address <&"$output" || fail 'the server did not start'
read -r -t 10 _ <&"$output" || fail 'the server did not start'
printf '  %s\n' "$("$normalizer" --version)"
printf '  %s and a unix socket, process %d, one thread\n' "$address" "$server"

heading 'The job: NFC, white space off both ends, case folded'
"$demo" "$@" "$address"

heading 'The end'
build/tools/hawser/hawser shutdown --reason 'the demo is over' "$unix" | sed 's/^/  /'
status=0
wait "$server" || status=$?
sed 's/^/  /' <&"$output"
server=
((status == 0)) || fail "the server ended with status $status"
printf '\n%s' "$bold"
printf '  Next: README.md, or HAWSER_TRACE=1 before a program to see each frame.%s\n\n' "$plain"
