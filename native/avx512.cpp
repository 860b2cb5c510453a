// AVX-512 with VNNI and VPOPCNTDQ: Intel since Ice Lake, AMD since Zen 4.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Simd {
  using Vector = __m512i;
  static constexpr std::size_t lanes = 16, group = 4;      // of 32 bits; components that one multiply_add sums
  static constexpr int tokens = 8, queries = 4;            // at a time, as the registers allow
  static constexpr std::size_t step = 64, row_bytes = 1;   // components of a row at a time; bytes of each
  static constexpr std::uint8_t flip = 0x80;               // one factor is unsigned: -128 to 127 become 0 to 255

  static Vector zero() { return _mm512_setzero_si512(); }
  static Vector load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, Vector value) { _mm512_storeu_si512(to, value); }
  static Vector broadcast(std::uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  static Vector multiply_add(Vector sum, Vector flipped, Vector other) {
    return _mm512_dpbusd_epi32(sum, flipped, other);
  }
  static Vector highest(Vector a, Vector b) { return _mm512_max_epi32(a, b); }
  static Vector row(const std::int8_t* part) {
    return _mm512_xor_si512(_mm512_loadu_si512(part), _mm512_set1_epi8(static_cast<char>(flip)));
  }
  static void sums(Vector a, Vector b, Vector c, Vector d, std::int32_t* total) {
    const Vector ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const Vector cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const Vector all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(total), sum);
  }
  // In how many bits a row differs, in eight lanes.
  static Vector differing(const std::uint64_t* row, const std::uint64_t* query, std::size_t words) {
    Vector count = zero();
    for (std::size_t at = 0; at < words; at += 8) {
      const auto mask = static_cast<__mmask8>(words - at < 8 ? (1u << (words - at)) - 1 : 0xff);
      const Vector one = _mm512_maskz_loadu_epi64(mask, row + at), other = _mm512_maskz_loadu_epi64(mask, query + at);
      count = _mm512_add_epi64(count, _mm512_popcnt_epi64(_mm512_xor_si512(one, other)));
    }
    return count;
  }
  static void differing(const std::uint64_t* bits, std::size_t rows, std::size_t words, const std::uint64_t* query,
                        std::int16_t* distances) {
    std::size_t row = 0;
    for (; row + 4 <= rows; row += 4) {  // counts fit into 32 bits: four rows are summed as four products are
      __builtin_prefetch(bits + (row + 4) * words + 512);
      __builtin_prefetch(bits + (row + 4) * words + 520);
      __builtin_prefetch(bits + (row + 4) * words + 528);
      Vector count[4];
      for (std::size_t r = 0; r < 4; ++r) count[r] = differing(bits + (row + r) * words, query, words);
      std::int32_t total[4];
      sums(count[0], count[1], count[2], count[3], total);
      for (std::size_t r = 0; r < 4; ++r) distances[row + r] = static_cast<std::int16_t>(total[r]);
    }
    for (; row < rows; ++row) {
      const Vector count = differing(bits + row * words, query, words);
      distances[row] = static_cast<std::int16_t>(_mm512_reduce_add_epi64(count));
    }
  }
};

}  // namespace

#include "loops.hpp"

namespace shortlist {
const Kernels avx512 = {"avx512", pack_lanes, maxsim, pack_rows, dots, hamming};
}
