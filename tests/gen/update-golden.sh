#!/bin/sh
# Writes the expected output of the generator anew: update-golden.sh BUILD_DIR
# Look at the difference before you commit it.
set -eu
build=${1:?usage: update-golden.sh BUILD_DIR}
here=$(cd "$(dirname "$0")" && pwd)
generator=$build/gen/protoc-gen-hawser
proto=$here/../../proto
python3 -B "$here/test_golden.py" --generator "$generator" --proto "$proto" --update
python3 -B "$here/test_errors.py" --generator "$generator" --proto "$proto" --update
