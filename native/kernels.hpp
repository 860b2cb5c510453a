// The inner loops of search, and of reading what it searches, one set of them for each instruction set.
//
// Every function is exact: products are integers, and floating-point sums have a fixed order, so that each
// instruction set, each number of threads and the numpy reference in shortlist/scoring give the same bits.
//
// The files that are compiled for one instruction set (avx512.cpp, ...) use nothing inline of the standard library but
// memcpy and memset, and of ours only what lies in their own anonymous namespace: of an inline function that two files compile the linker
// keeps one, and that one might have instructions that not every processor has.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shortlist {

// Some zeroed memory, aligned to 64 bytes.
class Buffer {
 public:
  Buffer();
  explicit Buffer(std::size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void resize(std::size_t bytes);  // what it held is gone

  std::uint32_t* words = nullptr;
};

// Some int8 vectors of the same length, arranged so that an instruction set can multiply them fast.
struct Packed {
  std::size_t count = 0;       // vectors
  std::size_t dimensions = 0;  // components of each
  std::size_t stride = 0;      // 32-bit words from one row of `words` to the next
  Buffer words;
  Buffer excess;  // int32, what each product is too large by where the other factor counts from 0 to 255
};

// Tokens that lie in 4 or 2 bits a component: component d of `dimensions` in byte d % width of a token's, at bit
// bits * (d / width). Each code stands for a level; a token's levels are lengthened to `length`. See scoring/codes.py.
struct Codes {
  std::size_t dimensions, width;
  int bits;
  double length;
};

// Passages whose tokens lie one after the other: passage p has the rows offsets[p] to offsets[p + 1] of tokens, which
// are int8 vectors, or if there are `codes` bytes of these.
struct Ragged {
  const std::int8_t* tokens;
  const std::int64_t* offsets;
  const Codes* codes = nullptr;
};

// How many bytes further on to ask for what will be read: processors don't look beyond a page of memory by themselves.
constexpr std::size_t ahead = 4096;

struct Kernels {
  const char* name;

  // Arrange query tokens [count, dimensions] for `maxsim`: side by side, one a lane.
  void (*pack_lanes)(const std::int8_t* vectors, std::size_t count, std::size_t dimensions, Packed& packed);
  // Give the passages first to last: the mean over query tokens of weight times best product; -inf without tokens.
  void (*maxsim)(const Packed& query, const double* weights, Ragged passages, std::size_t first, std::size_t last,
                 double* scores);

  // Arrange query vectors [count, dimensions] for `dots`: one after the other.
  void (*pack_rows)(const std::int8_t* vectors, std::size_t count, std::size_t dimensions, Packed& packed);
  // Give the products of vectors [rows, dimensions] with each query: products[query * stride + row].
  void (*dots)(const Packed& queries, const std::int8_t* vectors, std::size_t rows, std::int32_t* products,
               std::size_t stride);

  // Give in how many bits each of bits [rows, words] differs from the query [words].
  void (*hamming)(const std::uint64_t* bits, std::size_t rows, std::size_t words, const std::uint64_t* query,
                  std::int16_t* distances);

  // Give the CRC-32 of some bytes, as zlib does.
  std::uint32_t (*crc32)(const std::uint8_t* data, std::size_t size);
};

extern const Kernels portable;  // compiled everywhere; the others where the compiler can
extern const Kernels avx2;
extern const Kernels avx512;
extern const Kernels neon;

// `hamming` of AVX-512 where the processor counts the bits of a vector (VPOPCNTDQ).
void hamming_avx512(const std::uint64_t* bits, std::size_t rows, std::size_t words, const std::uint64_t* query,
                    std::int16_t* distances);

}  // namespace shortlist
