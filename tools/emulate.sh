#!/bin/sh
# Fuzz the kernels for AVX-512 and NEON on an x86 processor: the one by SIMDe, the other by QEMU. See `make emulate`.
set -eu
cd "$(dirname "$0")/.."
rounds=100  # QEMU takes some ten times as long as the processor

lacking=""
[ "$(uname -m)" = x86_64 ] || { echo "error: this is for x86 processors: make sanitize fuzzes the kernels for $(uname -m)" >&2; exit 1; }
command -v "${CXX:-c++}" >/dev/null || lacking="$lacking g++"
echo '#include <simde/x86/avx512.h>' | "${CXX:-c++}" -x c++ -fsyntax-only - 2>/dev/null || lacking="$lacking libsimde-dev"
command -v aarch64-linux-gnu-g++ >/dev/null || lacking="$lacking g++-aarch64-linux-gnu"
command -v qemu-aarch64-static >/dev/null || lacking="$lacking qemu-user-static"
if [ -n "$lacking" ]; then
  echo "error: this needs Debian's$lacking" >&2
  echo "hint: apt install$lacking" >&2
  exit 1
fi

sh tools/build_fuzzer.sh build/fuzz-avx512 -DSHORTLIST_SIMDE=ON
build/fuzz-avx512/fuzz $rounds avx512
unset CXXFLAGS  # they are for this processor
sh tools/build_fuzzer.sh build/fuzz-neon -DSHORTLIST_SANITIZE=OFF -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
qemu-aarch64-static -L /usr/aarch64-linux-gnu -cpu max build/fuzz-neon/fuzz $rounds neon
