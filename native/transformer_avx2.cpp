// The transformer on AVX2 with FMA. Without VNNI, products of bytes would saturate: factors become 16 bits wide.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Simd {
  using Vector = __m256;
  using Sums = __m256i;
  using Step = std::int16_t;
  static constexpr std::size_t lanes = 8;
  static constexpr int rows = 6;
  static constexpr std::int32_t middle = 0;

  static Vector load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Vector value) { _mm256_storeu_ps(to, value); }
  static Vector load_bytes(const std::int8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  }
  static Vector all(float value) { return _mm256_set1_ps(value); }
  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm256_div_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b
  static Vector highest(Vector a, Vector b) { return _mm256_max_ps(a, b); }
  static Vector absolute(Vector a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static Vector root(Vector a) { return _mm256_sqrt_ps(a); }
  static float root(float a) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a))); }
  static Vector rounded(Vector a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // The exponent is whole, and from -151 to 0: halved, so that what is smaller than normal numbers comes out too.
  static Vector times_power(Vector a, Vector exponent) {
    const Sums whole = _mm256_cvtps_epi32(exponent), half = _mm256_srai_epi32(whole, 1);
    return multiply(multiply(a, power(half)), power(_mm256_sub_epi32(whole, half)));
  }
  static float sum_of_lanes(Vector a) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
  }
  static float highest_lane(Vector a) {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
  }
  static Vector by_sign(Vector x, Vector right, Vector left) {
    return _mm256_blendv_ps(left, right, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GE_OQ));
  }
  // The first `count` lanes of one vector, the rest of another.
  static Vector first(std::size_t count, Vector those, Vector others) {
    const Sums wanted = _mm256_set1_epi32(static_cast<int>(count < lanes ? count : lanes));
    const Sums mask = _mm256_cmpgt_epi32(wanted, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_blendv_ps(others, those, _mm256_castsi256_ps(mask));
  }

  static void store_steps(Step* to, Vector scaled) {
    const Sums steps = _mm256_cvtps_epi32(scaled);
    const __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(steps), _mm256_extracti128_si256(steps, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), narrow);
  }
  static Sums load_sums(const std::int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static Sums load_weights(const std::int8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Sums all_words(std::int32_t word) { return _mm256_set1_epi32(word); }
  static Sums add_products(Sums sum, Sums activations, Sums weights) {
    const Sums products = _mm256_madd_epi16(activations, weights);
#if defined(__GNUC__) && !defined(__clang__)
    // Not _mm256_add_epi32: gcc 12 would load all factors first and have no registers left for the sums.
    asm volatile("vpaddd {%1, %0, %0|%0, %0, %1}" : "+x"(sum) : "x"(products));
#else
    sum = _mm256_add_epi32(sum, products);
#endif
    return sum;
  }
  static Vector floats(Sums sums) { return _mm256_cvtepi32_ps(sums); }

 private:
  static Vector power(Sums exponent) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
  }
};

}  // namespace

#include "transformer_loops.hpp"

namespace shortlist {
const TransformerKernels transformer_avx2 = {"avx2", layout, run, project, joint_maxsim};
}
