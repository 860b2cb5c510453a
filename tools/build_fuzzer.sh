#!/bin/sh
# Build the fuzzer of the kernels anew in a folder, and say nothing of it unless that fails. Further arguments are cmake's.
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift
mkdir -p "$folder"
rm -f "$folder/fuzz"
{ cmake -S . -B "$folder" -G Ninja -DSHORTLIST_FUZZ=ON "$@" && cmake --build "$folder"; } >"$folder.log" 2>&1 ||
  { cat "$folder.log"; exit 1; }
