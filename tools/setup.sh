#!/usr/bin/env bash
# Installs the Debian packages that are missing, in one call of apt-get.
#
#   tools/setup.sh build    what building the library, the generator and the command needs
#   tools/setup.sh demo     and what tools/demo.sh needs
#   tools/setup.sh test     and what tools/test.sh needs
#
# Does nothing, and needs no rights, when everything is there.
set -euo pipefail

build=(
	gcc libc6-dev meson ninja-build pkg-config
	libevent-dev libprotobuf-c-dev protobuf-c-compiler
	protobuf-compiler libprotobuf-dev libprotoc-dev # the last two bring .proto files
)
demo=("${build[@]}" libutf8proc-dev libjansson-dev iso-codes tzdata)
test=(
	"${demo[@]}"
	check unicode-data python3-protobuf
	clang libclang-rt-dev llvm clang-format # llvm: sanitizer reports with line numbers
	g++ valgrind shellcheck
	grpc-proto # real .proto files for the generator
)

case ${1-} in
build) wanted=("${build[@]}") ;;
demo) wanted=("${demo[@]}") ;;
test) wanted=("${test[@]}") ;;
*)
	echo "usage: tools/setup.sh build|demo|test" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "This is not a Debian system, so nothing was installed. Hawser needs what these" >&2
	echo "Debian packages hold: ${wanted[*]}" >&2
	exit 0
fi

missing=()
for package in "${wanted[@]}"; do
	state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
	# Of a package for several architectures there is one state each, run together.
	[[ $state == installed* ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
	if ! command -v sudo >/dev/null; then
		echo "These packages are missing, and installing them needs root or sudo:" >&2
		echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi

install() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
printf 'Installing %d packages: %s\n' "${#missing[@]}" "${missing[*]}"
# The package lists of a fresh system are empty, those of an old one out of date.
if ! install >"$log" 2>&1; then
	if ! { "${as_root[@]}" apt-get update --quiet && install; } >"$log" 2>&1; then
		cat "$log" >&2
		echo "Installing failed; the lines above say why." >&2
		exit 1
	fi
fi
