// The transformer on AVX-512 with VNNI: four products of bytes at once, one factor counted from 0 to 255.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Simd {
  using Vector = __m512;
  using Sums = __m512i;
  using Step = std::uint8_t;
  static constexpr std::size_t lanes = 16;
  static constexpr int rows = 6;
  static constexpr std::int32_t middle = 128;

  static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Vector value) { _mm512_storeu_ps(to, value); }
  static Vector load_bytes(const std::int8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }
  static Vector all(float value) { return _mm512_set1_ps(value); }
  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a * b
  static Vector highest(Vector a, Vector b) { return _mm512_max_ps(a, b); }
  static Vector absolute(Vector a) { return _mm512_abs_ps(a); }
  static Vector root(Vector a) { return _mm512_sqrt_ps(a); }
  static float root(float a) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a))); }
  static Vector rounded(Vector a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Vector times_power(Vector a, Vector exponent) { return _mm512_scalef_ps(a, exponent); }
  static float sum_of_lanes(Vector a) { return _mm512_reduce_add_ps(a); }
  static float highest_lane(Vector a) { return _mm512_reduce_max_ps(a); }
  static Vector by_sign(Vector x, Vector right, Vector left) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ), left, right);
  }
  // The first `count` lanes of one vector, the rest of another.
  static Vector first(std::size_t count, Vector those, Vector others) {
    const auto mask = static_cast<__mmask16>(count >= lanes ? 0xffff : (1u << count) - 1);
    return _mm512_mask_blend_ps(mask, others, those);
  }

  static void store_steps(Step* to, Vector scaled) {
    const Sums steps = _mm512_add_epi32(_mm512_cvtps_epi32(scaled), _mm512_set1_epi32(middle));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(steps));
  }
  static Sums load_sums(const std::int32_t* from) { return _mm512_loadu_si512(from); }
  static Sums load_weights(const std::int8_t* from) { return _mm512_loadu_si512(from); }
  static Sums all_words(std::int32_t word) { return _mm512_set1_epi32(word); }
  static Sums add_products(Sums sum, Sums activations, Sums weights) {
    return _mm512_dpbusd_epi32(sum, activations, weights);
  }
  static Vector floats(Sums sums) { return _mm512_cvtepi32_ps(sums); }
};

}  // namespace

#include "transformer_loops.hpp"

namespace shortlist {
const TransformerKernels transformer_avx512 = {"avx512", layout, run, project, joint_maxsim};
}
