// Signs on AVX-512 with VPOPCNTDQ: Intel since Ice Lake, AMD since Zen 4. Eight rows at a time.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels.hpp"
#include "widths.hpp"

namespace shortlist {
namespace {

constexpr std::size_t together = 8, lanes = 8;  // rows; words in a vector

// In how many bits a row differs, in eight parts.
inline __m512i parts_of(const std::uint64_t* row, std::size_t words, const std::uint64_t* query) {
  __m512i sum = _mm512_setzero_si512();
  for (std::size_t word = 0; word < words; word += lanes) {
    const std::size_t left = words - word;
    const auto mask = static_cast<__mmask8>(left >= lanes ? 0xff : (1u << left) - 1);
    const __m512i differing =
        _mm512_xor_si512(_mm512_maskz_loadu_epi64(mask, row + word), _mm512_maskz_loadu_epi64(mask, query + word));
    sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(differing));
  }
  return sum;
}

// Two vectors of quarters [a0 a1 a2 a3] and [b0 b1 b2 b3] become one: [a0 + a1, a2 + a3, b0 + b1, b2 + b3].
inline __m512i halves(__m512i a, __m512i b) {
  return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd));
}

// `Words` of each row; 0 are as many as `words`. What is left of eight rows is compared as where bits aren't counted so.
template <std::size_t Words>
struct HammingOfEight {
  static void run(const std::uint64_t* bits, std::size_t rows, std::size_t words, const std::uint64_t* query,
                  std::int16_t* distances) {
    const std::size_t count = Words ? Words : words;
    std::size_t row = 0;
    for (; row + together <= rows; row += together, bits += together * count) {
      for (std::size_t at = 0; at < 8 * together * count; at += 64) {
        __builtin_prefetch(reinterpret_cast<const char*>(bits) + ahead + at);
      }
      __m512i pair[together / 2];  // two rows in turn
      for (std::size_t r = 0; r < together; r += 2) {
        const __m512i even = parts_of(bits + r * count, count, query);
        const __m512i odd = parts_of(bits + (r + 1) * count, count, query);
        pair[r / 2] = _mm512_add_epi64(_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd));
      }
      const __m512i all = halves(halves(pair[0], pair[1]), halves(pair[2], pair[3]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(distances + row), _mm512_cvtsepi64_epi16(all));
    }
    avx512.hamming(bits, rows - row, words, query, distances + row);
  }
};

}  // namespace

void hamming_avx512(const std::uint64_t* bits, std::size_t rows, std::size_t words, const std::uint64_t* query,
                    std::int16_t* distances) {
  by_width<HammingOfEight>(words, bits, rows, words, query, distances);
}

}  // namespace shortlist
