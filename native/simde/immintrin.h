// In place of the compiler's header where the fuzzer runs what is written for AVX-512 on a processor without it: SIMDe
// (https://github.com/simd-everywhere/simde), and what its release 0.7.4 lacks of what we use. See `make emulate`.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#include <wmmintrin.h>

#include <cstdint>
#include <cstring>

using __mmask16 = simde__mmask16;
using __mmask8 = simde__mmask8;

namespace {
namespace lanes_of_16 {

template <class T>
struct Lanes {
  T lane[16];
};

template <class To, class From>
To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <class To, class From, class Function>
Lanes<To> map(const Lanes<From>& from, const Function& function) {
  Lanes<To> to;
  for (int i = 0; i < 16; ++i) to.lane[i] = function(from.lane[i]);
  return to;
}

// Halves upon halves, as the compiler's own does.
template <class Function>
float reduce(__m512 vector, const Function& function) {
  auto all = bit_cast<Lanes<float>>(vector);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) all.lane[i] = function(all.lane[i], all.lane[i + half]);
  }
  return all.lane[0];
}

}  // namespace lanes_of_16

using lanes_of_16::Lanes;

#ifndef _mm512_cvtepi32_ps
inline __m512 _mm512_cvtepi32_ps(__m512i a) {
  const auto values = lanes_of_16::bit_cast<Lanes<std::int32_t>>(a);
  return lanes_of_16::bit_cast<__m512>(
      lanes_of_16::map<float>(values, [](std::int32_t x) { return static_cast<float>(x); }));
}
#endif
#ifndef _mm512_cvtps_epi32
inline __m512i _mm512_cvtps_epi32(__m512 a) {
  const auto values = lanes_of_16::bit_cast<Lanes<float>>(a);
  return lanes_of_16::bit_cast<__m512i>(
      lanes_of_16::map<std::int32_t>(values, [](float x) { return static_cast<int>(__builtin_nearbyintf(x)); }));
}
#endif
#ifndef _mm512_cvtepi8_epi32
inline __m512i _mm512_cvtepi8_epi32(__m128i a) {
  const auto values = lanes_of_16::bit_cast<Lanes<std::int8_t>>(a);
  return lanes_of_16::bit_cast<__m512i>(
      lanes_of_16::map<std::int32_t>(values, [](std::int8_t x) { return static_cast<int>(x); }));
}
#endif
#ifndef _mm512_cvtepi32_epi8
inline __m128i _mm512_cvtepi32_epi8(__m512i a) {
  const auto values = lanes_of_16::bit_cast<Lanes<std::int32_t>>(a);
  return lanes_of_16::bit_cast<__m128i>(
      lanes_of_16::map<std::int8_t>(values, [](std::int32_t x) { return static_cast<std::int8_t>(x); }));
}
#endif
#ifndef _mm512_shuffle_i64x2
#define _mm512_shuffle_i64x2(a, b, picks) simde_mm512_shuffle_i64x2(a, b, picks)
#endif
#ifndef _mm512_maskz_loadu_epi64
inline __m512i _mm512_maskz_loadu_epi64(__mmask8 mask, const void* from) {
  std::uint64_t words[8] = {};
  for (int i = 0; i < 8; ++i) {
    if (mask >> i & 1) std::memcpy(words + i, static_cast<const std::uint64_t*>(from) + i, 8);
  }
  return lanes_of_16::bit_cast<__m512i>(words);
}
#endif
#ifndef _mm512_reduce_add_ps
inline float _mm512_reduce_add_ps(__m512 a) {
  return lanes_of_16::reduce(a, [](float x, float y) { return x + y; });
}
#endif
#ifndef _mm512_reduce_max_ps
inline float _mm512_reduce_max_ps(__m512 a) {
  return lanes_of_16::reduce(a, [](float x, float y) { return x > y ? x : y; });
}
#endif

}  // namespace
