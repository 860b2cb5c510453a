// Any processor: on x86-64 the vectors that all of them have (SSE2), elsewhere plain C++.
#include <cstddef>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#else
#include <cstring>
#endif

namespace {

struct Common {
  static constexpr std::size_t group = 2;
  static constexpr std::uint8_t flip = 0;
  static constexpr std::size_t codes = 8;  // looked up at a time
  static void look_up(const std::int8_t* table, const std::uint8_t* row, int shift, std::uint8_t mask,
                      std::int8_t* levels) {
    for (std::size_t i = 0; i < codes; ++i) levels[i] = table[(row[i] >> shift) & mask];
  }
  static int bits(std::uint64_t x) {  // Hacker's Delight, figure 5-2
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return static_cast<int>((x * 0x0101010101010101u) >> 56);
  }
};

#ifdef __SSE2__

struct Simd : Common {
  using Vector = __m128i;
  static constexpr std::size_t lanes = 4;
  static constexpr int tokens = 4, queries = 2;
  static constexpr std::size_t step = 8, row_bytes = 2;

  static Vector zero() { return _mm_setzero_si128(); }
  static Vector load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
  static void store(void* to, Vector value) { _mm_storeu_si128(static_cast<__m128i*>(to), value); }
  static Vector broadcast(std::uint32_t word) { return _mm_set1_epi32(static_cast<int>(word)); }
  static Vector multiply_add(Vector sum, Vector a, Vector b) { return _mm_add_epi32(sum, _mm_madd_epi16(a, b)); }
  static Vector highest(Vector a, Vector b) {
    const Vector larger = _mm_cmpgt_epi32(a, b);
    return _mm_or_si128(_mm_and_si128(larger, a), _mm_andnot_si128(larger, b));
  }
  static Vector highest_float(Vector a, Vector b) {
    return _mm_castps_si128(_mm_max_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b)));
  }
  static Vector lengthen(Vector sum, Vector, float factor) {
    return _mm_castps_si128(_mm_mul_ps(_mm_cvtepi32_ps(sum), _mm_set1_ps(factor)));
  }
  static Vector row(const std::int8_t* part) {
    const Vector bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(part));
    return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
  }
  static void sums(Vector a, Vector b, Vector c, Vector d, std::int32_t* total) {
    const Vector ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    const Vector cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    store(total, _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd)));
  }
};

#else

struct Simd : Common {
  struct Vector {
    std::int32_t lane[8];
  };
  static constexpr std::size_t lanes = 8;
  static constexpr int tokens = 4, queries = 1;
  static constexpr std::size_t step = 16, row_bytes = 2;

  static Vector zero() { return {}; }
  static Vector load(const void* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(void* to, Vector value) { std::memcpy(to, &value, sizeof value); }
  static Vector broadcast(std::uint32_t word) {
    Vector value;
    for (auto& lane : value.lane) std::memcpy(&lane, &word, 4);
    return value;
  }
  static Vector multiply_add(Vector sum, const Vector& a, const Vector& b) {
    std::int16_t left[16], right[16];
    std::memcpy(left, &a, sizeof left);
    std::memcpy(right, &b, sizeof right);
    for (int i = 0; i < 8; ++i) sum.lane[i] += left[2 * i] * right[2 * i] + left[2 * i + 1] * right[2 * i + 1];
    return sum;
  }
  static Vector highest(Vector a, const Vector& b) {
    for (int i = 0; i < 8; ++i) a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
  }
  static Vector highest_float(Vector a, const Vector& b) {
    for (int i = 0; i < 8; ++i) {
      float one, other;
      std::memcpy(&one, &a.lane[i], 4);
      std::memcpy(&other, &b.lane[i], 4);
      if (other > one) a.lane[i] = b.lane[i];
    }
    return a;
  }
  static Vector lengthen(Vector sum, const Vector&, float factor) {
    for (auto& lane : sum.lane) {
      const float product = static_cast<float>(lane) * factor;
      std::memcpy(&lane, &product, 4);
    }
    return sum;
  }
  static Vector row(const std::int8_t* part) {
    std::int16_t wide[16];
    for (int i = 0; i < 16; ++i) wide[i] = part[i];
    return load(wide);
  }
  static void sums(const Vector& a, const Vector& b, const Vector& c, const Vector& d, std::int32_t* total) {
    const Vector* each[4] = {&a, &b, &c, &d};
    for (int r = 0; r < 4; ++r) {
      total[r] = 0;
      for (const std::int32_t lane : each[r]->lane) total[r] += lane;
    }
  }
};

#endif

}  // namespace

#include "crc.hpp"
#include "loops.hpp"

namespace shortlist {
const Kernels portable = {"portable", pack_lanes, maxsim, pack_rows, dots, hamming, crc32};
}
