// NEON with dot products: ARM since 2018 (Neoverse N1, Apple M1). Both factors are signed: nothing is flipped.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Simd {
  using Vector = int32x4_t;
  static constexpr std::size_t lanes = 4, group = 4;
  static constexpr int tokens = 8, queries = 4;
  static constexpr std::size_t step = 16, row_bytes = 1;
  static constexpr std::uint8_t flip = 0;

  static Vector zero() { return vdupq_n_s32(0); }
  static Vector load(const void* from) { return vld1q_s32(static_cast<const std::int32_t*>(from)); }
  static void store(void* to, Vector value) { vst1q_s32(static_cast<std::int32_t*>(to), value); }
  static Vector broadcast(std::uint32_t word) { return vreinterpretq_s32_u32(vdupq_n_u32(word)); }
  static Vector multiply_add(Vector sum, Vector a, Vector b) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
  }
  static Vector highest(Vector a, Vector b) { return vmaxq_s32(a, b); }
  static Vector highest_float(Vector a, Vector b) {
    return vreinterpretq_s32_f32(vmaxq_f32(vreinterpretq_f32_s32(a), vreinterpretq_f32_s32(b)));
  }
  static Vector lengthen(Vector sum, Vector, float factor) {
    return vreinterpretq_s32_f32(vmulq_n_f32(vcvtq_f32_s32(sum), factor));
  }
  static constexpr std::size_t codes = 16;  // looked up at a time
  static void look_up(const std::int8_t* table, const std::uint8_t* row, int shift, std::uint8_t mask,
                      std::int8_t* levels) {
    const uint8x16_t chosen = vandq_u8(vshlq_u8(vld1q_u8(row), vdupq_n_s8(static_cast<std::int8_t>(-shift))), vdupq_n_u8(mask));
    vst1q_s8(levels, vqtbl1q_s8(vld1q_s8(table), chosen));
  }
  static Vector row(const std::int8_t* part) { return vreinterpretq_s32_s8(vld1q_s8(part)); }
  static void sums(Vector a, Vector b, Vector c, Vector d, std::int32_t* total) {
    vst1q_s32(total, vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
  }
  static int bits(std::uint64_t word) { return vaddv_u8(vcnt_u8(vcreate_u8(word))); }
};

}  // namespace

#include "crc.hpp"
#include "loops.hpp"

namespace shortlist {
const Kernels neon = {"neon", pack_lanes, maxsim, pack_rows, dots, hamming, crc32};
}
