// The loops that all instruction sets share. Included by one source file for each set, after it has said what a
// vector of that set is (`Simd`); everything here is local to that file and compiled with its flags.
#pragma once

#include <cstring>

#include "kernels.hpp"
#include "widths.hpp"

namespace shortlist {
namespace {

constexpr std::size_t round_up(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }

inline std::int32_t* excess(const Packed& packed) {
  return reinterpret_cast<std::int32_t*>(packed.excess.words);
}

constexpr std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }

// --- Tokens: query tokens side by side in lanes, a passage's token broadcast to all of them -------------------------

// A word holds `Simd::group` neighbouring components: four bytes, or two 16-bit integers.
constexpr std::size_t words_of(std::size_t dimensions) { return (dimensions + Simd::group - 1) / Simd::group; }

inline void pack_token(const std::int8_t* token, std::size_t dimensions, std::uint32_t* words) {
  if constexpr (Simd::group == 4) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(words);
    for (std::size_t d = 0; d < dimensions; ++d) {
      bytes[d] = static_cast<std::uint8_t>(static_cast<std::uint8_t>(token[d]) ^ Simd::flip);
    }
    for (std::size_t d = dimensions; d < 4 * words_of(dimensions); ++d) bytes[d] = 0;
  } else {
    auto* bytes = reinterpret_cast<char*>(words);
    for (std::size_t d = 0; d < dimensions; ++d) {
      const std::int16_t value = token[d];
      std::memcpy(bytes + 2 * d, &value, 2);
    }
    if (dimensions % 2) std::memset(bytes + 2 * dimensions, 0, 2);
  }
}

void pack_lanes(const std::int8_t* vectors, std::size_t count, std::size_t dimensions, Packed& packed) {
  packed.count = count;
  packed.dimensions = dimensions;
  packed.stride = round_up(count, Simd::lanes);
  packed.words.resize(4 * words_of(dimensions) * packed.stride);
  packed.excess.resize(4 * packed.stride);
  for (std::size_t query = 0; query < count; ++query) {
    const std::int8_t* vector = vectors + query * dimensions;
    std::int32_t sum = 0;
    for (std::size_t d = 0; d < dimensions; ++d) {
      std::uint32_t* word = packed.words.words + d / Simd::group * packed.stride + query;
      if constexpr (Simd::group == 4) {
        std::memcpy(reinterpret_cast<char*>(word) + d % 4, vector + d, 1);
      } else {
        const std::int16_t value = vector[d];
        std::memcpy(reinterpret_cast<char*>(word) + 2 * (d % 2), &value, 2);
      }
      sum += vector[d];
    }
    excess(packed)[query] = Simd::flip ? 128 * sum : 0;
  }
}

// The levels that codes stand for, as scoring/codes.py has them; of 2 bits only the first four are used.
alignas(16) constexpr std::int8_t levels_of_4_bits[16] = {-126, -95, -74, -58, -43, -30, -18, -6,
                                                          6,    18,  30,  43,  58,  74,  95,  126};
alignas(16) constexpr std::int8_t levels_of_2_bits[16] = {-125, -38, 38, 125};

// Give the levels of a token, [dimensions] rounded up to whole bytes of codes, and what its products are multiplied by.
inline float read_codes(const Codes& codes, const std::uint8_t* row, std::int8_t* levels) {
  const std::size_t width = codes.width;
  const std::int8_t* table = codes.bits == 4 ? levels_of_4_bits : levels_of_2_bits;
  const auto mask = static_cast<std::uint8_t>((1 << codes.bits) - 1);
  for (int shift = 0; shift < 8; shift += codes.bits, levels += width) {
    std::size_t at = 0;
    for (; at + Simd::codes <= width; at += Simd::codes) Simd::look_up(table, row + at, shift, mask, levels + at);
    for (; at < width; ++at) levels[at] = table[(row[at] >> shift) & mask];
  }
  levels -= 8 / static_cast<std::size_t>(codes.bits) * width;
  std::int32_t squares = 0;
  for (std::size_t d = 0; d < codes.dimensions; ++d) squares += levels[d] * levels[d];
  return static_cast<float>(codes.length / __builtin_sqrt(static_cast<double>(squares)));
}

// Raise the best products of `V` vectors of query tokens to those with `Simd::tokens` passage tokens.
// With `factors` of the tokens these are float32, each product times its token's, else int32 and `excess` too large.
template <int V>
inline void raise(const std::uint32_t* tokens, std::size_t words, const std::uint32_t* query, std::size_t stride,
                  std::int32_t* best, const std::int32_t* excess, const float* factors) {
  constexpr int R = Simd::tokens;
  typename Simd::Vector sum[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) sum[r][v] = Simd::zero();
  }
#pragma GCC unroll 8  // or gcc 12 copies every sum twice a step
  for (std::size_t w = 0; w < words; ++w) {
    typename Simd::Vector asked[V];
    for (int v = 0; v < V; ++v) asked[v] = Simd::load(query + w * stride + v * Simd::lanes);
    for (int r = 0; r < R; ++r) {
      const auto token = Simd::broadcast(tokens[r * words + w]);
      for (int v = 0; v < V; ++v) sum[r][v] = Simd::multiply_add(sum[r][v], token, asked[v]);
    }
  }
  for (int v = 0; v < V; ++v) {
    auto highest = Simd::load(best + v * Simd::lanes);
    if (factors) {
      const auto over = Simd::load(excess + v * Simd::lanes);
      for (int r = 0; r < R; ++r) highest = Simd::highest_float(highest, Simd::lengthen(sum[r][v], over, factors[r]));
    } else {
      for (int r = 0; r < R; ++r) highest = Simd::highest(highest, sum[r][v]);
    }
    Simd::store(best + v * Simd::lanes, highest);
  }
}

void maxsim(const Packed& query, const double* weights, Ragged passages, std::size_t first, std::size_t last,
            double* scores) {
  constexpr std::size_t R = Simd::tokens;
  const Codes* codes = passages.codes;
  const std::size_t dimensions = query.dimensions, words = words_of(dimensions);
  const std::size_t row_bytes = codes ? codes->width : dimensions;
  const Buffer scratch(4 * (R * words + query.stride));
  const Buffer decoded(codes ? 8 * row_bytes : 0);
  auto* levels = reinterpret_cast<std::int8_t*>(decoded.words);
  std::uint32_t* tokens = scratch.words + query.stride;
  auto* best = reinterpret_cast<std::int32_t*>(scratch.words);
  float factors[R];
  const float least_float = -__builtin_inff();
  std::int32_t none = INT32_MIN;
  if (codes) std::memcpy(&none, &least_float, 4);
  for (std::size_t passage = first; passage < last; ++passage) {
    const auto begin = static_cast<std::size_t>(passages.offsets[passage]);
    const auto count = static_cast<std::size_t>(passages.offsets[passage + 1]) - begin;
    if (count == 0 || query.count == 0) {
      scores[passage - first] = -__builtin_inf();
      continue;
    }
    for (std::size_t lane = 0; lane < query.stride; ++lane) best[lane] = none;
    for (std::size_t start = 0; start < count; start += R) {
      // A token that is looked at twice changes no maximum: the last block reaches back, a short passage repeats.
      const std::size_t from = count < R ? 0 : least(start, count - R);
      for (std::size_t r = 0; r < R; ++r) {
        const std::int8_t* token = passages.tokens + (begin + least(from + r, count - 1)) * row_bytes;
        for (std::size_t d = 0; d < row_bytes; d += 64) __builtin_prefetch(token + ahead + d);
        if (codes) {
          factors[r] = read_codes(*codes, reinterpret_cast<const std::uint8_t*>(token), levels);
          token = levels;
        }
        pack_token(token, dimensions, tokens + r * words);
      }
      const float* its_factors = codes ? factors : nullptr;
      std::size_t lane = 0;
      for (; lane + 2 * Simd::lanes <= query.stride; lane += 2 * Simd::lanes) {
        raise<2>(tokens, words, query.words.words + lane, query.stride, best + lane, excess(query) + lane,
                 its_factors);
      }
      if (lane < query.stride) {
        raise<1>(tokens, words, query.words.words + lane, query.stride, best + lane, excess(query) + lane,
                 its_factors);
      }
    }
    double total = 0;
    for (std::size_t q = 0; q < query.count; ++q) {  // in this order, unfused: as the reference adds
      double product;
      if (codes) {
        float lengthened;
        std::memcpy(&lengthened, best + q, 4);
        product = lengthened;
      } else {
        product = best[q] - excess(query)[q];
      }
      total += weights ? product * weights[q] : product;
    }
    scores[passage - first] = total / static_cast<double>(query.count);
  }
}

// --- Whole vectors: one row with one query at a time, over their components -----------------------------------------

void pack_rows(const std::int8_t* vectors, std::size_t count, std::size_t dimensions, Packed& packed) {
  packed.count = count;
  packed.dimensions = dimensions;
  const std::size_t padded = round_up(dimensions, Simd::step);
  packed.stride = padded * Simd::row_bytes / 4;
  packed.words.resize(4 * packed.stride * count);
  packed.excess.resize(4 * count);
  for (std::size_t query = 0; query < count; ++query) {
    const std::int8_t* vector = vectors + query * dimensions;
    auto* words = reinterpret_cast<char*>(packed.words.words + query * packed.stride);
    std::int32_t sum = 0;
    for (std::size_t d = 0; d < dimensions; ++d) {
      const std::int16_t value = vector[d];
      if constexpr (Simd::row_bytes == 1) {
        std::memcpy(words + d, vector + d, 1);
      } else {
        std::memcpy(words + 2 * d, &value, 2);
      }
      sum += value;
    }
    excess(packed)[query] = Simd::flip ? 128 * sum : 0;
  }
}

// Multiply four rows with `Q` queries; products[q * stride + row].
template <int Q>
inline void four_rows(const Packed& queries, std::size_t first_query, const std::int8_t* rows,
                      std::int32_t* products, std::size_t stride) {
  const std::size_t dimensions = queries.dimensions, whole = dimensions / Simd::step * Simd::step;
  typename Simd::Vector sum[4][Q];
  for (int r = 0; r < 4; ++r) {
    for (int q = 0; q < Q; ++q) sum[r][q] = Simd::zero();
  }
  const char* asked[Q];
  for (int q = 0; q < Q; ++q) {
    asked[q] = reinterpret_cast<const char*>(queries.words.words + (first_query + q) * queries.stride);
  }
  const auto add = [&](int r, const std::int8_t* part, std::size_t at) {
    const auto row = Simd::row(part);
    for (int q = 0; q < Q; ++q) {
      sum[r][q] = Simd::multiply_add(sum[r][q], row, Simd::load(asked[q] + at * Simd::row_bytes));
    }
  };
  for (std::size_t at = 0; at < whole; at += Simd::step) {
    for (int r = 0; r < 4; ++r) add(r, rows + r * dimensions + at, at);
  }
  if (whole < dimensions) {
    for (int r = 0; r < 4; ++r) {
      std::int8_t part[Simd::step] = {};
      std::memcpy(part, rows + r * dimensions + whole, dimensions - whole);
      add(r, part, whole);
    }
  }
  for (int q = 0; q < Q; ++q) {
    std::int32_t total[4];
    Simd::sums(sum[0][q], sum[1][q], sum[2][q], sum[3][q], total);
    for (int r = 0; r < 4; ++r) products[q * stride + r] = total[r] - excess(queries)[first_query + q];
  }
}

inline void four_rows(const Packed& queries, const std::int8_t* rows, std::int32_t* products, std::size_t stride) {
  std::size_t query = 0;
  for (; query + Simd::queries <= queries.count; query += Simd::queries) {
    four_rows<Simd::queries>(queries, query, rows, products + query * stride, stride);
  }
  for (; query < queries.count; ++query) four_rows<1>(queries, query, rows, products + query * stride, stride);
}

void dots(const Packed& queries, const std::int8_t* vectors, std::size_t rows, std::int32_t* products,
          std::size_t stride) {
  const std::size_t dimensions = queries.dimensions;
  std::size_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const std::int8_t* four = vectors + row * dimensions;
    for (std::size_t d = 0; d < 4 * dimensions; d += 64) __builtin_prefetch(four + ahead + d);
    four_rows(queries, four, products + row, stride);
  }
  if (row == rows) return;
  const Buffer last(4 * dimensions), scratch(16 * queries.count);
  auto* found = reinterpret_cast<std::int32_t*>(scratch.words);
  std::memcpy(last.words, vectors + row * dimensions, (rows - row) * dimensions);
  four_rows(queries, reinterpret_cast<const std::int8_t*>(last.words), found, 4);
  for (std::size_t query = 0; query < queries.count; ++query) {
    for (std::size_t r = row; r < rows; ++r) products[query * stride + r] = found[4 * query + r - row];
  }
}

// --- Bits -------------------------------------------------------------------------------------------------------------

// `Words` of each row; 0 are as many as `words`.
template <std::size_t Words>
struct Hamming {
  static void run(const std::uint64_t* bits, std::size_t rows, std::size_t words, const std::uint64_t* query,
                  std::int16_t* distances) {
    const std::size_t count = Words ? Words : words;
    for (std::size_t row = 0; row < rows; ++row, bits += count) {
      __builtin_prefetch(reinterpret_cast<const char*>(bits) + ahead);
      int differing = 0;
      for (std::size_t word = 0; word < count; ++word) differing += Simd::bits(bits[word] ^ query[word]);
      distances[row] = static_cast<std::int16_t>(differing);
    }
  }
};

void hamming(const std::uint64_t* bits, std::size_t rows, std::size_t words, const std::uint64_t* query,
             std::int16_t* distances) {
  by_width<Hamming>(words, bits, rows, words, query, distances);
}

}  // namespace
}  // namespace shortlist
