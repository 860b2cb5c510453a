// CRC-32 as in zlib and PNG (polynomial 0xedb88320, reflected), for the file of each instruction set to include.
//
// Source: Gopal et al. 2009, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel).
// Deviation: the last 16 bytes are not reduced by Barrett's method but as any others, by the tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __PCLMUL__
#include <immintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace shortlist {
namespace {

struct CrcTables {
  std::uint32_t of[8][256];  // what a byte leaves that is followed by so many others
};

constexpr CrcTables crc_tables() {
  CrcTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ (rest & 1 ? 0xedb88320u : 0u);
    tables.of[0][byte] = rest;
  }
  for (int after = 1; after < 8; ++after) {
    for (int byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables.of[after - 1][byte];
      tables.of[after][byte] = (before >> 8) ^ tables.of[0][before & 0xff];
    }
  }
  return tables;
}

constexpr CrcTables crc = crc_tables();

// Go on with what other bytes left.
std::uint32_t crc_by_tables(std::uint32_t rest, const std::uint8_t* data, std::size_t size) {
  for (; size >= 8; data += 8, size -= 8) {
    rest ^= std::uint32_t{data[0]} | std::uint32_t{data[1]} << 8 | std::uint32_t{data[2]} << 16 |
            std::uint32_t{data[3]} << 24;
    rest = crc.of[7][rest & 0xff] ^ crc.of[6][(rest >> 8) & 0xff] ^ crc.of[5][(rest >> 16) & 0xff] ^
           crc.of[4][rest >> 24] ^ crc.of[3][data[4]] ^ crc.of[2][data[5]] ^ crc.of[1][data[6]] ^ crc.of[0][data[7]];
  }
  for (; size; ++data, --size) rest = (rest >> 8) ^ crc.of[0][(rest ^ *data) & 0xff];
  return rest;
}

#ifdef __PCLMUL__

// Move 16 bytes as far ahead as the factors say, and add what lies there.
inline __m128i crc_fold(__m128i bytes, __m128i factors, __m128i there) {
  return _mm_xor_si128(there, _mm_xor_si128(_mm_clmulepi64_si128(bytes, factors, 0x00),
                                            _mm_clmulepi64_si128(bytes, factors, 0x11)));
}

std::uint32_t crc32(const std::uint8_t* data, std::size_t size) {
  std::uint32_t rest = 0xffffffffu;
  if (size >= 64) {
    const auto load = [](const std::uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); };
    const __m128i by_64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4), by_16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    __m128i part[4];
    for (int i = 0; i < 4; ++i) part[i] = load(data + 16 * i);
    part[0] = _mm_xor_si128(part[0], _mm_cvtsi32_si128(static_cast<int>(rest)));
    for (data += 64, size -= 64; size >= 64; data += 64, size -= 64) {
      for (int i = 0; i < 4; ++i) part[i] = crc_fold(part[i], by_64, load(data + 16 * i));
    }
    for (int i = 1; i < 4; ++i) part[i] = crc_fold(part[i - 1], by_16, part[i]);
    for (; size >= 16; data += 16, size -= 16) part[3] = crc_fold(part[3], by_16, load(data));
    std::uint8_t last[16];
    std::memcpy(last, &part[3], sizeof last);
    rest = crc_by_tables(0, last, sizeof last);
  }
  return ~crc_by_tables(rest, data, size);
}

#elif defined(__ARM_FEATURE_CRC32)

std::uint32_t crc32(const std::uint8_t* data, std::size_t size) {
  std::uint32_t rest = 0xffffffffu;
  for (; size >= 8; data += 8, size -= 8) {
    std::uint64_t eight;
    std::memcpy(&eight, data, sizeof eight);
    rest = __crc32d(rest, eight);
  }
  return ~crc_by_tables(rest, data, size);
}

#else

std::uint32_t crc32(const std::uint8_t* data, std::size_t size) { return ~crc_by_tables(0xffffffffu, data, size); }

#endif

}  // namespace
}  // namespace shortlist
