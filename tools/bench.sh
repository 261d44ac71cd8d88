#!/bin/bash
# Measures Hawser beside the raw limit of the machine, and prints medians and ratios.
#
#   tools/bench.sh [--build DIR] [--rounds N] [--secs S] [--warm S] [--workloads "W1 W2 W3"]
#                  [--transports "tcp unix"] [--pins split|same|free] [--json FILE]
#
# Builds the programs of tests/bench into DIR (build) if need be and runs all of
# them; tests/bench/measure.h says what they do. In each round they take turns, so
# that a machine whose speed drifts is the same for all; only ratios of one run
# mean something. --workloads: W1 W2 W3 W4a W4b W5 W6 W11; all, if none are named, and W11
# needs 3 GiB of memory. --pins split: server on CPU 0, client on CPU 1; same: both on
# CPU 1, which measures the software and not the wake-ups; free: as the system likes.
# --json keeps every single measurement, a JSON object a line.

set -euo pipefail
cd "$(dirname "$0")/.."

build=build rounds=3 secs=2 warm=0.5 workloads='W1 W2 W3 W4a W4b W5 W6 W11' transports=tcp pins=split json=

usage() {
	sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}
wrong() {
	echo "tools/bench.sh: $1; --help tells more" >&2
	exit 2
}
whole() { [[ $2 =~ ^[1-9][0-9]*$ ]] || wrong "$1 \"$2\": must be a whole number from 1"; }
decimal() { [[ $2 =~ ^([0-9]+|[0-9]*\.[0-9]+)$ ]] || wrong "$1 \"$2\": must be a number of seconds"; }

while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage && exit ;;
	--build | --rounds | --secs | --warm | --workloads | --transports | --pins | --json)
		[ $# -ge 2 ] || wrong "$1 needs a value"
		;;
	*) wrong "unknown option $1" ;;
	esac
	case $1 in
	--build) build=$2 ;;
	--rounds) whole "$1" "$2" && rounds=$2 ;;
	--secs) decimal "$1" "$2" && secs=$2 ;;
	--warm) decimal "$1" "$2" && warm=$2 ;;
	--workloads) workloads=$2 ;;
	--transports) transports=$2 ;;
	--pins) [[ $2 =~ ^(split|same|free)$ ]] || wrong "--pins is split, same or free" && pins=$2 ;;
	--json) json=$2 ;;
	esac
	shift 2
done

server_on=() client_on=()
if [ "$pins" != free ]; then
	[ "$(nproc)" -ge 2 ] || wrong "--pins $pins needs two CPUs; there is --pins free"
	client_on=(taskset -c 1)
	server_on=(taskset -c 0)
	[ "$pins" = split ] || server_on=(taskset -c 1)
fi

[ -d "$build" ] || meson setup "$build" >&2
ninja -C "$build" tests/bench/{hawser-peer,raw-epoll,raw-stream} >&2

tmp=$(mktemp -d)
results=$tmp/results
: >"$results"
server='' failures=0

# shellcheck disable=SC2317 # the traps call it
stop_server() {
	[ -n "$server" ] || return 0
	kill -TERM "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=
}
trap 'stop_server; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

# A pipe says when the server is ready, or that it has ended without being so.
start_server() { # program transport mode; sets server and address
	local program=$1 wanted=tcp:0 line=
	[ "$2" = tcp ] || wanted=unix:$tmp/socket
	rm -f "$tmp/ready"
	mkfifo "$tmp/ready"
	"${server_on[@]}" "$program" server "$wanted" "$3" >"$tmp/ready" 2>"$tmp/server-errors" &
	server=$!
	read -r line <"$tmp/ready" || true
	address=${line#READY }
	[ "$line" != "$address" ]
}

measure() { # program peer server-mode client-mode transport workload
	local address=
	rm -f "$tmp"/*-errors
	if start_server "$1" "$5" "$3" &&
		"${client_on[@]}" "$1" client "$address" "$6" "$4" --peer "$2" --pid "$server" \
			--secs "$secs" --warm "$warm" >"$tmp/figures" 2>"$tmp/client-errors"; then
		cat "$tmp/figures" >>"$results"
	else
		failures=$((failures + 1))
		echo "$2 $6 $5 failed: $(tail -qn 1 "$tmp/client-errors" "$tmp/server-errors" 2>/dev/null | tr '\n' ' ')" >&2
	fi
	stop_server
}

for ((round = 1; round <= rounds; round++)); do
	for transport in $transports; do
		for workload in $workloads; do
			# Memory does not vary; one round of it is enough.
			[ "$workload" != W6 ] || [ "$round" = 1 ] || continue
			for program in "$build"/tests/bench/*; do
				if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
				while read -r peer server_mode client_mode offers_transports offers_workloads <&3; do
					[[ ,$offers_transports, == *,$transport,* ]] || continue
					[[ ,$offers_workloads, == *,$workload,* ]] || continue
					measure "$program" "$peer" "$server_mode" "$client_mode" "$transport" "$workload"
				done 3< <("$program" info)
			done
		done
	done
	echo "round $round of $rounds is done" >&2
done

[ -z "$json" ] || cp "$results" "$json"

# The medians of the rounds, each divided by those of the raw program. The last column is what
# Hawser is meant to reach there, with a CPU for each end. W11 is compared with itself.
tr -d '{}"' <"$results" | awk -F '[:,]' -v pins="$pins" '
	BEGIN {
		chief["W1"] = "p50_us"; chief["W2"] = chief["W3"] = "calls_per_s"
		chief["W4a"] = chief["W4b"] = "mib_per_s"; chief["W5"] = "msgs_per_s"
		chief["W6"] = "rss_bytes_per_conn"; chief["W11"] = "worst_ratio"
		chief["W7"] = "server_cpu_us_per_call"
		goal["W1"] = "at most 1.10"; goal["W2"] = "at least 0.75"; goal["W6"] = "at most 1,536 bytes"
		goal["W11"] = "below 3"
		title["W1"] = "one call at a time, p50 in us"
		title["W2"] = "64 calls in flight, calls/s"
		title["W3"] = "64 connections, 8 calls in flight each, calls/s"
		title["W4a"] = "1 MiB echo, MiB/s"
		title["W4b"] = "16 MiB echo, MiB/s"
		title["W5"] = "a stream of messages of 64 bytes, messages/s"
		title["W6"] = "server memory per idle connection, bytes"
		title["W11"] = "calls and pings beside 256 MiB messages, times as long as alone"
		title["W7"] = "server CPU per call with 64 in flight, us"
	}
	$8 == chief[$4] {
		group = $4 " " $6
		if (!(group in peers)) order[++groups] = group
		key = group SUBSEP $2
		if (!(key in count)) peers[group] = peers[group] " " $2
		values[key, ++count[key]] = $10
	}
	$4 == "W11" {
		key = "W11 " $6 SUBSEP $2 SUBSEP $8
		values[key, ++count[key]] = $10
	}
	function median(key,   n, i, j, t) {
		n = count[key]
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && values[key, j] + 0 < values[key, j - 1] + 0; j--) {
				t = values[key, j]; values[key, j] = values[key, j - 1]; values[key, j - 1] = t
			}
		return n % 2 ? values[key, (n + 1) / 2] : (values[key, n / 2] + values[key, n / 2 + 1]) / 2
	}
	# What a ratio of W11 comes from.
	function print_beside(key, what, which,   name) {
		name = what "_" which
		printf "  %-16s %s %s: %.2f us alone, %.2f us beside, ratio %.2f\n", "", what, which,
			median(key SUBSEP name "_alone_us"), median(key SUBSEP name "_beside_us"),
			median(key SUBSEP name "_ratio")
	}
	END {
		for (i = 1; i <= groups; i++) {
			group = order[i]
			split(group, part, " ")
			printf "\n%s %s: %s\n", part[1], part[2], title[part[1]]
			printf "  %-16s %14s %25s %8s\n", "", "median", "least .. most", "ratio"
			n = split(peers[group], names, " ")
			base = 0
			for (j = 1; j <= n; j++)
				if (names[j] ~ /^raw-/) base = median(group SUBSEP names[j])
			for (j = 1; j <= n; j++) {
				key = group SUBSEP names[j]
				m = median(key)
				range = sprintf("%.2f .. %.2f", values[key, 1], values[key, count[key]])
				printf "  %-16s %14.2f %25s", names[j], m, range
				if (base > 0) printf " %8.2f", m / base
				if (names[j] ~ /^hawser/ && part[1] in goal && (pins == "split" || part[1] == "W6")) printf "  (%s)", goal[part[1]]
				printf "\n"
				if (part[1] != "W11") continue
				print_beside(key, "call", "p50"); print_beside(key, "call", "p99")
				print_beside(key, "ping", "p50"); print_beside(key, "ping", "p99")
				printf "  %-16s the large ones: %.0f MiB/s\n", "", median(key SUBSEP "large_mib_per_s")
			}
		}
	}'
[ "$failures" = 0 ] || { echo "$failures measurements failed" >&2; exit 1; }
