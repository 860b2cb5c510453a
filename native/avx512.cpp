// AVX-512 with VNNI: Intel since Cascade Lake, AMD since Zen 4.
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
  static Vector highest_float(Vector a, Vector b) {
    return _mm512_castps_si512(_mm512_max_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
  }
  static Vector lengthen(Vector sum, Vector excess, float factor) {
    return _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, excess)), _mm512_set1_ps(factor)));
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
  static int bits(std::uint64_t word) { return static_cast<int>(_mm_popcnt_u64(word)); }
};

}  // namespace

#include "crc.hpp"
#include "loops.hpp"

namespace shortlist {
const Kernels avx512 = {"avx512", pack_lanes, maxsim, pack_rows, dots, hamming, crc32};
}
