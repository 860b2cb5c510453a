#include "dispatch.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(SHORTLIST_NEON) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace shortlist {

Buffer::Buffer() = default;

Buffer::Buffer(std::size_t bytes) { resize(bytes); }

Buffer::~Buffer() { std::free(words); }

void Buffer::resize(std::size_t bytes) {
  std::free(words);
  const std::size_t whole = (bytes + 64) / 64 * 64;  // never none
  words = static_cast<std::uint32_t*>(std::aligned_alloc(64, whole));
  if (words == nullptr) throw std::bad_alloc();
  std::memset(words, 0, whole);
}

namespace {

#ifdef SHORTLIST_AVX512
bool can_run_avx512() {
#ifdef SHORTLIST_SIMDE
  return true;  // see native/simde
#else
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("popcnt") &&
         __builtin_cpu_supports("pclmul");
#endif
}

bool can_count_bits_of_vectors() {
#ifdef SHORTLIST_SIMDE
  return true;
#else
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vpopcntdq");
#endif
}

const Kernels& best_avx512() {
  static const Kernels best = [] {
    Kernels kernels = avx512;
    if (can_count_bits_of_vectors()) kernels.hamming = hamming_avx512;
    return kernels;
  }();
  return best;
}
#endif

#ifdef SHORTLIST_AVX2
bool can_run_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("pclmul");
}
#endif

}  // namespace

std::vector<const Kernels*> available() {
  std::vector<const Kernels*> found;
#ifdef SHORTLIST_AVX512
  if (can_run_avx512()) found.push_back(&best_avx512());
#endif
#ifdef SHORTLIST_AVX2
  if (can_run_avx2()) found.push_back(&avx2);
#endif
#ifdef SHORTLIST_NEON
#if defined(__linux__)
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found.push_back(&neon);
#elif defined(__APPLE__)
  found.push_back(&neon);  // every ARM processor of Apple has it
#endif
#endif
  found.push_back(&portable);
  return found;
}

std::vector<const TransformerKernels*> transformers() {
  std::vector<const TransformerKernels*> found;
#ifdef SHORTLIST_AVX512
  if (can_run_avx512()) found.push_back(&transformer_avx512);
#endif
#ifdef SHORTLIST_AVX2
  if (can_run_avx2() && __builtin_cpu_supports("fma")) found.push_back(&transformer_avx2);
#endif
  return found;
}

}  // namespace shortlist
