// AVX2: x86-64 processors since 2013. Without VNNI, products of bytes would saturate: components become 16 bits wide.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Simd {
  using Vector = __m256i;
  static constexpr std::size_t lanes = 8, group = 2;
  static constexpr int tokens = 4, queries = 2;
  static constexpr std::size_t step = 16, row_bytes = 2;
  static constexpr std::uint8_t flip = 0;

  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static void store(void* to, Vector value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }
  static Vector broadcast(std::uint32_t word) { return _mm256_set1_epi32(static_cast<int>(word)); }
  static Vector multiply_add(Vector sum, Vector a, Vector b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  }
  static Vector highest(Vector a, Vector b) { return _mm256_max_epi32(a, b); }
  static Vector highest_float(Vector a, Vector b) {
    return _mm256_castps_si256(_mm256_max_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
  }
  static Vector lengthen(Vector sum, Vector, float factor) {
    return _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(factor)));
  }
  static constexpr std::size_t codes = 32;  // looked up at a time
  static void look_up(const std::int8_t* table, const std::uint8_t* row, int shift, std::uint8_t mask,
                      std::int8_t* levels) {
    const __m256i all = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row));
    const __m256i chosen = _mm256_and_si256(_mm256_srli_epi16(bytes, shift), _mm256_set1_epi8(static_cast<char>(mask)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(levels), _mm256_shuffle_epi8(all, chosen));
  }
  static Vector row(const std::int8_t* part) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(part)));
  }
  static void sums(Vector a, Vector b, Vector c, Vector d, std::int32_t* total) {
    const Vector ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    const Vector cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    const Vector all = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(total), sum);
  }
  static int bits(std::uint64_t word) { return static_cast<int>(_mm_popcnt_u64(word)); }
};

}  // namespace

#include "crc.hpp"
#include "loops.hpp"

namespace shortlist {
const Kernels avx2 = {"avx2", pack_lanes, maxsim, pack_rows, dots, hamming, crc32};
}
