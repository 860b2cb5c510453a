#include "search.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "parallel.hpp"

namespace shortlist {
namespace {

constexpr std::size_t rows_at_once = 512;       // of vectors: 192 KiB at 384 dimensions
constexpr std::size_t passages_at_once = 64;    // of token vectors
constexpr std::size_t documents_at_once = 4096; // 32 KiB of BM25 scores
constexpr std::size_t tokens_at_once = 256;     // compared with some hundred centroids
constexpr std::size_t ranges_at_once = 16;      // blocks of a file, tokens of a passage
constexpr std::size_t bits_at_once = 4096;      // rows of bits: 192 KiB at 384

std::size_t parts_of(std::size_t count, std::size_t at_once) { return (count + at_once - 1) / at_once; }

// Add the documents begin to end whose best row scores enough; scores are those of their rows.
template <class Score, class Best>
void add_best(const Documents& documents, std::size_t begin, std::size_t end, const Score* scores, Best& best) {
  const std::size_t first = documents.first(begin);
  std::size_t document = begin;
  const auto add = [&](std::size_t last) {
    for (; document < last; ++document) {
      if (documents.allowed && !documents.allowed[document]) continue;
      const std::size_t from = documents.first(document) - first, to = documents.first(document + 1) - first;
      if (to > from) best.add(*std::max_element(scores + from, scores + to), static_cast<std::int64_t>(document));
    }
  };
  if (documents.firsts == nullptr) {  // most scores are too low: that is seen of many at once
    constexpr std::size_t together = 32;
    while (document + together <= end) {
      Score highest = scores[document - first];
      for (std::size_t i = 1; i < together; ++i) highest = std::max(highest, scores[document - first + i]);
      if (highest < best.threshold()) {
        document += together;
      } else {
        add(document + together);
      }
    }
  }
  add(end);
}

bool any_allowed(const Documents& documents, std::size_t begin, std::size_t end) {
  return !documents.allowed || std::find(documents.allowed + begin, documents.allowed + end, true) !=
                                   documents.allowed + end;
}

[[noreturn]] void wrong_documents() {
  throw std::invalid_argument("the documents of a term must ascend, from 0 to below their number");
}

}  // namespace

void maxsim(const Kernels& kernels, const Packed& query, const double* weights, Ragged passages, std::size_t count,
            std::size_t threads, double* scores) {
  in_parallel(parts_of(count, passages_at_once), threads, [&](std::size_t part, std::size_t) {
    const std::size_t first = part * passages_at_once, last = std::min(count, first + passages_at_once);
    kernels.maxsim(query, weights, passages, first, last, scores + first);
  });
}

void dot_products(const Kernels& kernels, const Packed& queries, const std::int8_t* vectors, std::size_t rows,
                  std::size_t threads, float* products) {
  in_parallel(parts_of(rows, rows_at_once), threads, [&](std::size_t part, std::size_t) {
    const std::size_t first = part * rows_at_once, count = std::min(rows - first, rows_at_once);
    std::vector<std::int32_t> found(queries.count * count);
    kernels.dots(queries, vectors + first * queries.dimensions, count, found.data(), count);
    for (std::size_t query = 0; query < queries.count; ++query) {
      std::copy_n(found.data() + query * count, count, products + query * rows + first);
    }
  });
}

std::vector<Best<std::int32_t>> best_products(const Kernels& kernels, const Packed& queries,
                                              const std::int8_t* vectors, const Documents& documents, std::size_t k,
                                              std::size_t threads) {
  const std::vector<Best<std::int32_t>> none(queries.count, {k, std::numeric_limits<std::int32_t>::min()});
  const std::size_t parts = parts_of(documents.count, rows_at_once);
  std::vector<std::vector<Best<std::int32_t>>> best(worth(threads, parts), none);
  in_parallel(parts, threads, [&](std::size_t part, std::size_t thread) {
    const std::size_t begin = part * rows_at_once, end = std::min(documents.count, begin + rows_at_once);
    if (!any_allowed(documents, begin, end)) return;
    const std::size_t first = documents.first(begin), rows = documents.first(end) - first;
    std::vector<std::int32_t> products(queries.count * rows);
    kernels.dots(queries, vectors + first * queries.dimensions, rows, products.data(), rows);
    for (std::size_t query = 0; query < queries.count; ++query) {
      add_best(documents, begin, end, products.data() + query * rows, best[thread][query]);
    }
  });
  for (std::size_t thread = 1; thread < best.size(); ++thread) {
    for (std::size_t query = 0; query < queries.count; ++query) best[0][query].take(best[thread][query]);
  }
  return best[0];
}

void bit_distances(const Kernels& kernels, const std::uint64_t* query, const std::uint64_t* bits, std::size_t rows,
                   std::size_t words, std::size_t threads, std::int16_t* distances, std::int64_t* counts) {
  const std::size_t parts = parts_of(rows, bits_at_once), longest = 64 * words;
  std::vector<std::vector<std::int64_t>> its_counts(worth(threads, parts), std::vector<std::int64_t>(longest + 1, 0));
  in_parallel(parts, threads, [&](std::size_t part, std::size_t thread) {
    const std::size_t begin = part * bits_at_once, end = std::min(rows, begin + bits_at_once);
    kernels.hamming(bits + begin * words, end - begin, words, query, distances + begin);
    // Neighbouring rows often differ in as many bits: adding to one number again and again would wait for itself.
    static_assert(bits_at_once <= 65535);
    std::vector<std::uint16_t> apart(4 * (longest + 1), 0);
    std::uint16_t* each[4];
    for (std::size_t i = 0; i < 4; ++i) each[i] = apart.data() + i * (longest + 1);
    std::size_t row = begin;
    for (; row + 4 <= end; row += 4) {
      for (std::size_t i = 0; i < 4; ++i) ++each[i][distances[row + i]];
    }
    for (; row < end; ++row) ++each[0][distances[row]];
    for (std::size_t distance = 0; distance <= longest; ++distance) {
      for (std::size_t i = 0; i < 4; ++i) its_counts[thread][distance] += each[i][distance];
    }
  });
  std::fill_n(counts, longest + 1, 0);
  for (const auto& here : its_counts) {
    for (std::size_t distance = 0; distance <= longest; ++distance) counts[distance] += here[distance];
  }
}

std::vector<std::int64_t> rows_within(const std::int16_t* distances, std::size_t rows, std::int64_t reach) {
  using Distance = std::numeric_limits<std::int16_t>;
  std::vector<std::int64_t> found;
  if (reach < Distance::min()) return found;
  const auto most = static_cast<std::int16_t>(std::min<std::int64_t>(reach, Distance::max()));
  const auto add = [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      if (distances[row] <= most) found.push_back(static_cast<std::int64_t>(row));
    }
  };
  constexpr std::size_t together = 64;  // most rows are too far: that is seen of many at once
  std::size_t row = 0;
  for (; row + together <= rows; row += together) {
    std::int16_t least = distances[row];
    for (std::size_t i = 1; i < together; ++i) least = std::min(least, distances[row + i]);
    if (least <= most) add(row, row + together);
  }
  add(row, rows);
  return found;
}

template <class Count>
Best<double> best_bm25(const std::vector<Term<Count>>& terms, const double* relative_lengths,
                       const Documents& documents, double k1, std::size_t k) {
  Best<double> best(k, std::numeric_limits<double>::denorm_min());  // who shares no term scores 0 and is not found
  for (const Term<Count>& term : terms) {
    if (term.size && static_cast<std::size_t>(term.documents[term.size - 1]) >= documents.count) wrong_documents();
  }
  std::vector<std::size_t> next(terms.size(), 0);
  std::vector<double> scores(documents_at_once);
  for (std::size_t begin = 0; begin < documents.count; begin += documents_at_once) {
    const std::size_t count = std::min(documents_at_once, documents.count - begin);
    const auto end = static_cast<std::int64_t>(begin + count);
    std::fill_n(scores.begin(), count, 0.0);
    bool any = false;
    for (std::size_t t = 0; t < terms.size(); ++t) {
      const Term<Count>& term = terms[t];
      std::size_t at = next[t];
      for (; at < term.size && term.documents[at] < end; ++at) {
        const auto document = static_cast<std::size_t>(term.documents[at]);
        if (document - begin >= count) wrong_documents();
        const double frequency = term.frequencies[at];
        scores[document - begin] += frequency / (relative_lengths[document] * k1 + frequency) * term.weight;
      }
      any |= at > next[t];
      next[t] = at;
    }
    if (!any) continue;
    constexpr std::size_t together = 16;
    std::fill(scores.begin() + static_cast<std::ptrdiff_t>(count), scores.end(), 0.0);
    for (std::size_t from = 0; from < count; from += together) {
      double highest = 0;
      for (std::size_t at = from; at < from + together; ++at) highest = std::max(highest, scores[at]);
      if (highest < best.threshold()) continue;
      for (std::size_t at = from; at < std::min(count, from + together); ++at) {
        if (documents.allowed && !documents.allowed[begin + at]) continue;
        best.add(scores[at], static_cast<std::int64_t>(begin + at));
      }
    }
  }
  return best;
}

template Best<double> best_bm25(const std::vector<Term<std::uint8_t>>&, const double*, const Documents&, double,
                                std::size_t);
template Best<double> best_bm25(const std::vector<Term<std::uint16_t>>&, const double*, const Documents&, double,
                                std::size_t);
template Best<double> best_bm25(const std::vector<Term<std::uint32_t>>&, const double*, const Documents&, double,
                                std::size_t);

void nearest(const Kernels& kernels, const Packed& centroids, const std::int8_t* vectors, std::size_t rows,
             std::size_t threads, std::int32_t* found) {
  in_parallel(parts_of(rows, tokens_at_once), threads, [&](std::size_t part, std::size_t) {
    const std::size_t first = part * tokens_at_once, count = std::min(rows - first, tokens_at_once);
    std::vector<std::int32_t> products(centroids.count * count);
    kernels.dots(centroids, vectors + first * centroids.dimensions, count, products.data(), count);
    std::int32_t best[tokens_at_once], *which = found + first;
    std::copy_n(products.data(), count, best);
    std::fill_n(which, count, 0);
    for (std::size_t centroid = 1; centroid < centroids.count; ++centroid) {
      const std::int32_t* its = products.data() + centroid * count;
      for (std::size_t row = 0; row < count; ++row) {
        const bool better = its[row] > best[row];
        which[row] = better ? static_cast<std::int32_t>(centroid) : which[row];
        best[row] = better ? its[row] : best[row];
      }
    }
  });
}

Best<float> best_listed(const Lists& lists, const Probes& probes, const Documents& passages, std::size_t k) {
  std::vector<float> scores(passages.count, 0.0f);
  std::vector<std::uint32_t> seen(passages.count, 0);  // by which token last
  for (std::size_t query = 0; query < probes.queries; ++query) {
    for (std::size_t probe = query * probes.count; probe < (query + 1) * probes.count; ++probe) {
      const float gain = probes.gains[probe];
      const auto list = static_cast<std::size_t>(probes.lists[probe]);
      for (auto at = lists.offsets[list]; at < lists.offsets[list + 1]; ++at) {
        const auto passage = static_cast<std::size_t>(lists.passages[at]);
        if (passage >= passages.count) throw std::invalid_argument("a list names a passage that is not there");
        if (seen[passage] == query + 1) continue;
        seen[passage] = static_cast<std::uint32_t>(query + 1);
        scores[passage] += gain;
      }
    }
  }
  Best<float> best(k, std::numeric_limits<float>::min());  // who is in no list scores 0 and is not found
  for (std::size_t begin = 0; begin < passages.count; begin += documents_at_once) {
    add_best(passages, begin, std::min(passages.count, begin + documents_at_once), scores.data() + begin, best);
  }
  return best;
}

void checksums(const Kernels& kernels, const std::uint8_t* data, const std::int64_t* offsets, std::size_t count,
               std::size_t threads, std::uint32_t* found) {
  in_parallel(parts_of(count, ranges_at_once), threads, [&](std::size_t part, std::size_t) {
    for (std::size_t i = part * ranges_at_once; i < std::min(count, (part + 1) * ranges_at_once); ++i) {
      found[i] = kernels.crc32(data + offsets[i], static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
    }
  });
}

}  // namespace shortlist
