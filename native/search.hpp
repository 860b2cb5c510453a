// Loops over a whole segment: which documents are the best?
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "best.hpp"
#include "kernels.hpp"

namespace shortlist {

// Documents and their vectors: document d has the rows firsts[d] to firsts[d + 1], or the row d if firsts is null;
// allowed[d] says whether it may be found, if allowed is not null.
struct Documents {
  std::size_t count;
  const std::int64_t* firsts;
  const bool* allowed;

  std::size_t first(std::size_t document) const {
    return firsts ? static_cast<std::size_t>(firsts[document]) : document;
  }
};

void maxsim(const Kernels& kernels, const Packed& query, const double* weights, Ragged passages, std::size_t count,
            std::size_t threads, double* scores);

// Give the products of each query with all rows as float32, products[q * rows + row].
void dot_products(const Kernels& kernels, const Packed& queries, const std::int8_t* vectors, std::size_t rows,
                  std::size_t threads, float* products);

// For each query, the documents with the best products of one of their rows.
std::vector<Best<std::int32_t>> best_products(const Kernels& kernels, const Packed& queries,
                                              const std::int8_t* vectors, const Documents& documents, std::size_t k,
                                              std::size_t threads);

// In how many bits each of bits [rows, words] differs from the query, and counts [64 * words + 1]: how many rows differ
// in so many.
void bit_distances(const Kernels& kernels, const std::uint64_t* query, const std::uint64_t* bits, std::size_t rows,
                   std::size_t words, std::size_t threads, std::int16_t* distances, std::int64_t* counts);

// Which rows, ascending, differ in no more bits than `reach`.
std::vector<std::int64_t> rows_within(const std::int16_t* distances, std::size_t rows, std::int64_t reach);

// One term of a query: which documents have it (ascending), how often, and what it is worth.
template <class Count>
struct Term {
  const std::int32_t* documents;
  const Count* frequencies;
  std::size_t size;
  double weight;
};

// The documents with the best sums of weight * tf / (tf + k1 * relative length), terms added in their order.
template <class Count>
Best<double> best_bm25(const std::vector<Term<Count>>& terms, const double* relative_lengths,
                       const Documents& documents, double k1, std::size_t k);

// Which of the packed vectors has the best product with each row; the first of equals.
void nearest(const Kernels& kernels, const Packed& centroids, const std::int8_t* vectors, std::size_t rows,
             std::size_t threads, std::int32_t* found);

// Lists of passages: list l has passages[offsets[l]] to before passages[offsets[l + 1]].
struct Lists {
  const std::int64_t* offsets;
  const std::int32_t* passages;
};

// For each of `queries` tokens the lists probes[token * count + i], the best first, and what a passage in them gains.
struct Probes {
  std::size_t queries, count;
  const std::int32_t* lists;
  const float* gains;
};

// The passages with the best sums, over query tokens, of what the first of its lists that has them gives.
Best<float> best_listed(const Lists& lists, const Probes& probes, const Documents& passages, std::size_t k);

// The CRC-32 of the bytes offsets[i] to before offsets[i + 1], for `count` ranges.
void checksums(const Kernels& kernels, const std::uint8_t* data, const std::int64_t* offsets, std::size_t count,
               std::size_t threads, std::uint32_t* found);

}  // namespace shortlist
