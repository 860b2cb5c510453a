#!/bin/sh
# Fuzz the kernels for AVX-512 and NEON on an x86 processor: the one by SIMDe, the other by QEMU. See `make emulate`.
set -eu
cd "$(dirname "$0")/.."
build() { # NAME, then what cmake is told: build the fuzzer, and say nothing of it unless it fails
  folder=build/emulate-$1
  shift
  mkdir -p "$folder"
  { cmake -S . -B "$folder" -G Ninja -DSHORTLIST_EMULATE=ON "$@" && cmake --build "$folder"; } >"$folder.log" 2>&1 ||
    { cat "$folder.log"; exit 1; }
}
build avx512
build/emulate-avx512/fuzz
build neon -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
qemu-aarch64-static -cpu max build/emulate-neon/fuzz 100
