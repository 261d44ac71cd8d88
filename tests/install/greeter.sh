#!/usr/bin/env bash
# Builds and runs the greeter as a user would, against an installed Hawser: with
# pkg-config, protoc and cc, in a folder of its own.
#
#   tests/install/greeter.sh PREFIX shared|static
set -euo pipefail

prefix=$1 how=$2
sources=$(cd "$(dirname "$0")/../.." && pwd)
folder=$prefix/greeter-$how

export PATH=$prefix/bin:$PATH PKG_CONFIG_PATH=$prefix/lib/pkgconfig
rm -rf "$folder"
mkdir -p "$folder/gen"
cd "$folder"
cp "$sources"/proto/examples/greeter.proto "$sources"/tools/examples/greeter/*.c .

protoc --hawser_out=gen greeter.proto

case $how in
shared)
	flags=$(pkg-config --cflags --libs hawser)
	export LD_LIBRARY_PATH=$prefix/lib
	;;
static)
	# Hawser's archive, and the shared libraries of what it needs.
	flags=$(pkg-config --static --cflags --libs hawser | sed 's/-lhawser\b/-l:libhawser.a/')
	;;
esac
for program in server client; do
	# shellcheck disable=SC2086 # the flags are meant to be split
	cc -std=c11 -Wall -Wextra -Werror -Wno-unused-parameter -Igen -o $program \
		$program.c gen/greeter.hawser.c gen/greeter.pb-c.c $flags
	needed=$(objdump -p $program | grep -c 'NEEDED.*libhawser' || true)
	[[ $how:$needed == shared:1 || $how:$needed == static:0 ]] || {
		echo "$program names libhawser $needed times among its shared libraries" >&2
		exit 1
	}
done

address=unix:$folder/socket
./server "$address" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT

# The server tells nobody when it listens, so the client tries until it does.
until answer=$(./client Hawser "$address" 2>client.err); do
	kill -0 $server
	if ((SECONDS > 20)); then
		cat client.err >&2
		exit 1
	fi
done
[[ $answer == 'Hello, Hawser!' ]] || {
	echo "the greeter answered: $answer" >&2
	exit 1
}

kill $server
trap - EXIT
wait $server
[[ ! -e $folder/socket ]]
echo "$answer"
