// In place of the compiler's header where the fuzzer runs instructions of AVX-512 on a processor that has none: SIMDe
// (https://github.com/simd-everywhere/simde), and what its release 0.7.4 lacks of what we use. `make emulate`.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#include <wmmintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

using __mmask16 = simde__mmask16;

namespace emulated {

template <class To, class From>
To as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

struct Floats {
  float lane[16];
};
struct Integers {
  std::int32_t lane[16];
};
struct Bytes {
  std::int8_t lane[16];
};

// What lane i of `To` is, by `of(lane i of From)`.
template <class To, class From, class Use>
To each(const From& from, const Use& of) {
  To to;
  for (int i = 0; i < 16; ++i) to.lane[i] = of(from.lane[i]);
  return to;
}

// Halves upon halves, as the compiler reduces.
template <class Use>
float reduced(__m512 vector, const Use& join) {
  auto all = as<Floats>(vector);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) all.lane[i] = join(all.lane[i], all.lane[i + half]);
  }
  return all.lane[0];
}

}  // namespace emulated

inline __m512 _mm512_cvtepi32_ps(__m512i a) {
  using namespace emulated;
  return as<__m512>(each<Floats>(as<Integers>(a), [](std::int32_t x) { return static_cast<float>(x); }));
}
inline __m512i _mm512_cvtps_epi32(__m512 a) {
  using namespace emulated;
  return as<__m512i>(each<Integers>(as<Floats>(a), [](float x) { return static_cast<std::int32_t>(std::nearbyint(x)); }));
}
inline __m512i _mm512_cvtepi8_epi32(__m128i a) {
  using namespace emulated;
  return as<__m512i>(each<Integers>(as<Bytes>(a), [](std::int8_t x) { return std::int32_t{x}; }));
}
inline __m128i _mm512_cvtepi32_epi8(__m512i a) {
  using namespace emulated;
  return as<__m128i>(each<Bytes>(as<Integers>(a), [](std::int32_t x) { return static_cast<std::int8_t>(x); }));
}
inline float _mm512_reduce_add_ps(__m512 a) {
  return emulated::reduced(a, [](float x, float y) { return x + y; });
}
inline float _mm512_reduce_max_ps(__m512 a) {
  return emulated::reduced(a, [](float x, float y) { return x > y ? x : y; });
}
