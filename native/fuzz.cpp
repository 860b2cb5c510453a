// Random sizes, at addresses that no vector instruction would choose, each array in a heap block of exactly its size.
// What is found is compared with loops that anyone can read. Built with AddressSanitizer and
// UndefinedBehaviorSanitizer, it stops at the first byte beyond; only what QEMU runs is built without.
//
//   make sanitize    for what this processor can run
//   make emulate     for AVX-512 and NEON, where it can't
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "dispatch.hpp"
#include "fuzz.hpp"
#include "search.hpp"

namespace {

using shortlist::Best;
using shortlist::Kernels;
using shortlist::Packed;

void require(bool fulfilled, const Kernels& kernels, const char* what) {
  if (fulfilled) return;
  std::fprintf(stderr, "%s: %s differs from the loops\n", kernels.name, what);
  std::exit(1);
}

std::int32_t product(const std::int8_t* a, const std::int8_t* b, std::size_t dimensions) {
  std::int32_t sum = 0;
  for (std::size_t d = 0; d < dimensions; ++d) sum += a[d] * b[d];
  return sum;
}

void maxsim(const Kernels& kernels) {
  const std::size_t queries = below(70), dimensions = 1 + below(150), passages = below(12);
  const auto places = random_offsets(passages, 0, 30);
  const auto query = random_values<std::int8_t>(queries * dimensions);
  const auto tokens = random_values<std::int8_t>(static_cast<std::size_t>(places[passages]) * dimensions);
  Odd<double> weights(queries), found(passages);
  for (std::size_t q = 0; q < queries; ++q) weights[q] = static_cast<double>(below(1000)) / 999;
  Packed packed;
  kernels.pack_lanes(query.data(), queries, dimensions, packed);
  shortlist::maxsim(kernels, packed, weights.data(), {tokens.data(), places.data()}, passages, 1 + below(3),
                    found.data());
  for (std::size_t p = 0; p < passages; ++p) {
    double expected = -std::numeric_limits<double>::infinity();
    if (queries && places[p] < places[p + 1]) {
      double total = 0;
      for (std::size_t q = 0; q < queries; ++q) {
        std::int32_t best = std::numeric_limits<std::int32_t>::min();
        for (auto t = places[p]; t < places[p + 1]; ++t) {
          best = std::max(best, product(query.data() + q * dimensions,
                                        tokens.data() + static_cast<std::size_t>(t) * dimensions, dimensions));
        }
        total += best * weights[q];
      }
      expected = total / static_cast<double>(queries);
    }
    require(found[p] == expected, kernels, "maxsim");
  }
}

void maxsim_of_codes(const Kernels& kernels) {
  const std::size_t queries = below(40), dimensions = 1 + below(150), passages = below(12);
  const std::size_t code_bits = below(2) ? 4 : 2, width = (dimensions * code_bits + 7) / 8;
  const shortlist::Codes codes{dimensions, width, static_cast<int>(code_bits), 302.9};
  const auto places = random_offsets(passages, 0, 30);
  const auto query = random_values<std::int8_t>(queries * dimensions);
  const auto rows = random_values<std::uint8_t>(static_cast<std::size_t>(places[passages]) * width);
  Odd<double> found(passages);
  Packed packed;
  kernels.pack_lanes(query.data(), queries, dimensions, packed);
  shortlist::maxsim(kernels, packed, nullptr,
                    {reinterpret_cast<const std::int8_t*>(rows.data()), places.data(), &codes}, passages,
                    1 + below(3), found.data());
  const std::vector<int> upper = codes.bits == 4 ? std::vector<int>{6, 18, 30, 43, 58, 74, 95, 126}
                                                 : std::vector<int>{38, 125};
  const int half = static_cast<int>(upper.size());
  for (std::size_t p = 0; p < passages; ++p) {
    double expected = -std::numeric_limits<double>::infinity();
    if (queries && places[p] < places[p + 1]) {
      expected = 0;
      for (std::size_t q = 0; q < queries; ++q) {
        float best = -std::numeric_limits<float>::infinity();
        for (auto t = places[p]; t < places[p + 1]; ++t) {
          int sum = 0, squares = 0;
          for (std::size_t d = 0; d < dimensions; ++d) {
            const int byte = rows[static_cast<std::size_t>(t) * width + d % width];
            const int code = (byte >> (code_bits * (d / width))) & ((1 << codes.bits) - 1);
            const int level = code < half ? -upper[static_cast<std::size_t>(half - 1 - code)]
                                          : upper[static_cast<std::size_t>(code - half)];
            sum += level * query[q * dimensions + d];
            squares += level * level;
          }
          best = std::max(best, static_cast<float>(sum) * static_cast<float>(codes.length / std::sqrt(squares)));
        }
        expected += best;
      }
      expected /= static_cast<double>(queries);
    }
    require(found[p] == expected, kernels, "maxsim of codes");
  }
}

// The documents that `scores` finds to be the k best, by sorting.
template <class Score>
void require_best(Best<Score>& best, std::vector<std::pair<Score, std::int64_t>> scores, std::size_t k,
                  const Kernels& kernels, const char* what) {
  std::sort(scores.begin(), scores.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::size_t count = std::min(k, scores.size());
  while (count && count < scores.size() && scores[count].first == scores[count - 1].first) ++count;
  scores.resize(count);
  std::sort(scores.begin(), scores.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto& found = best.finish();
  require(found.size() == count, kernels, what);
  for (std::size_t i = 0; i < count; ++i) {
    require(found[i].score == scores[i].first && found[i].position == scores[i].second, kernels, what);
  }
}

void vectors(const Kernels& kernels) {
  // Mostly few documents; now and then more than are worked on at a time.
  const std::size_t count = below(20) ? below(60) : 1500, queries = 1 + below(6), k = 1 + below(70);
  const std::size_t dimensions = 1 + below(count > 60 ? 40 : 400);
  const auto firsts = random_offsets(count, 1, 3);
  const auto rows = static_cast<std::size_t>(firsts[count]);
  const auto stored = random_values<std::int8_t>(rows * dimensions);
  const auto asked = random_values<std::int8_t>(queries * dimensions);
  Odd<bool> allowed(count);
  for (std::size_t d = 0; d < count; ++d) allowed[d] = below(3) > 0;
  Packed packed;
  kernels.pack_rows(asked.data(), queries, dimensions, packed);
  Odd<float> products(queries * rows);
  shortlist::dot_products(kernels, packed, stored.data(), rows, 1 + below(3), products.data());
  auto best = shortlist::best_products(kernels, packed, stored.data(), {count, firsts.data(), allowed.data()}, k,
                                       1 + below(3));
  for (std::size_t q = 0; q < queries; ++q) {
    std::vector<std::pair<std::int32_t, std::int64_t>> scores;
    for (std::size_t d = 0; d < count; ++d) {
      std::int32_t highest = std::numeric_limits<std::int32_t>::min();
      for (auto row = static_cast<std::size_t>(firsts[d]); row < static_cast<std::size_t>(firsts[d + 1]); ++row) {
        const auto one = product(asked.data() + q * dimensions, stored.data() + row * dimensions, dimensions);
        require(products[q * rows + row] == static_cast<float>(one), kernels, "dot_products");
        highest = std::max(highest, one);
      }
      if (allowed[d]) scores.emplace_back(highest, static_cast<std::int64_t>(d));
    }
    require_best(best[q], scores, k, kernels, "best_products");
  }
}

void bits(const Kernels& kernels) {
  const std::size_t rows = below(20) ? below(60) : 5000, words = below(20);
  const auto stored = random_values<std::uint64_t>(rows * words);
  const auto asked = random_values<std::uint64_t>(words);
  Odd<std::int16_t> distances(rows);
  Odd<std::int64_t> counts(64 * words + 1);
  std::vector<std::int64_t> expected(counts.size(), 0);
  shortlist::bit_distances(kernels, asked.data(), stored.data(), rows, words, 1 + below(3), distances.data(),
                           counts.data());
  for (std::size_t row = 0; row < rows; ++row) {
    std::int16_t distance = 0;
    for (std::size_t w = 0; w < words; ++w) {
      for (std::uint64_t rest = stored[row * words + w] ^ asked[w]; rest; rest &= rest - 1) ++distance;
    }
    require(distances[row] == distance, kernels, "bit_distances");
    ++expected[static_cast<std::size_t>(distance)];
  }
  for (std::size_t i = 0; i < counts.size(); ++i) require(counts[i] == expected[i], kernels, "bit_distances");
  const auto reach = static_cast<std::int64_t>(below(64 * words + 3)) - 1;
  std::vector<std::int64_t> within;
  for (std::size_t row = 0; row < rows; ++row) {
    if (distances[row] <= reach) within.push_back(static_cast<std::int64_t>(row));
  }
  require(shortlist::rows_within(distances.data(), rows, reach) == within, kernels, "rows_within");
}

void lists(const Kernels& kernels) {
  const std::size_t centroids = 1 + below(40), rows = below(20) ? below(50) : 600, dimensions = 1 + below(150);
  const auto stored = random_values<std::int8_t>(rows * dimensions);
  const auto centres = random_values<std::int8_t>(centroids * dimensions);
  Packed packed;
  kernels.pack_rows(centres.data(), centroids, dimensions, packed);
  Odd<std::int32_t> found(rows);
  shortlist::nearest(kernels, packed, stored.data(), rows, 1 + below(3), found.data());
  for (std::size_t row = 0; row < rows; ++row) {
    const auto to = [&](std::size_t c) {
      return product(centres.data() + c * dimensions, stored.data() + row * dimensions, dimensions);
    };
    std::size_t best = 0;
    for (std::size_t c = 1; c < centroids; ++c) best = to(c) > to(best) ? c : best;
    require(found[row] == static_cast<std::int32_t>(best), kernels, "nearest");
  }

  const std::size_t count = 1 + below(60), queries = below(5), probed = below(5), k = 1 + below(20);
  const auto places = random_offsets(centroids, 0, 9);
  Odd<std::int32_t> passages(static_cast<std::size_t>(places[centroids]));
  for (std::size_t i = 0; i < passages.size(); ++i) passages[i] = static_cast<std::int32_t>(below(count));
  Odd<std::int32_t> probes(queries * probed);
  Odd<float> gains(queries * probed);
  for (std::size_t i = 0; i < probes.size(); ++i) {
    probes[i] = static_cast<std::int32_t>(below(centroids));
    gains[i] = static_cast<float>(below(7));
  }
  Odd<bool> allowed(count);
  for (std::size_t p = 0; p < count; ++p) allowed[p] = below(3) > 0;
  std::vector<float> sums(count, 0.0f);
  for (std::size_t q = 0; q < queries; ++q) {
    for (std::size_t p = 0; p < count; ++p) {
      bool is_first = true;
      for (std::size_t i = q * probed; i < (q + 1) * probed && is_first; ++i) {
        const auto* begin = passages.data() + places[static_cast<std::size_t>(probes[i])];
        const auto* end = passages.data() + places[static_cast<std::size_t>(probes[i]) + 1];
        if (std::find(begin, end, static_cast<std::int32_t>(p)) == end) continue;
        sums[p] += gains[i];
        is_first = false;
      }
    }
  }
  auto best = shortlist::best_listed({places.data(), passages.data()}, {queries, probed, probes.data(), gains.data()},
                                     {count, nullptr, allowed.data()}, k);
  std::vector<std::pair<float, std::int64_t>> scores;
  for (std::size_t p = 0; p < count; ++p) {
    if (sums[p] > 0 && allowed[p]) scores.emplace_back(sums[p], static_cast<std::int64_t>(p));
  }
  require_best(best, scores, k, kernels, "best_listed");
}

void checksums(const Kernels& kernels) {
  const std::size_t ranges = below(40);
  const auto places = random_offsets(ranges, 0, 300);
  const auto data = random_values<std::uint8_t>(static_cast<std::size_t>(places[ranges]));
  std::vector<std::uint32_t> found(ranges);
  shortlist::checksums(kernels, data.data(), places.data(), ranges, 1 + below(3), found.data());
  for (std::size_t range = 0; range < ranges; ++range) {
    std::uint32_t rest = 0xffffffffu;  // bit by bit
    for (auto at = places[range]; at < places[range + 1]; ++at) {
      rest ^= data[static_cast<std::size_t>(at)];
      for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ (rest & 1 ? 0xedb88320u : 0u);
    }
    require(found[range] == ~rest, kernels, "checksums");
  }
}

template <class Count>
void words(const Kernels& kernels) {
  const std::size_t count = below(9000), k = 1 + below(50);
  std::vector<double> expected(count, 0.0);
  Odd<double> lengths(count);
  for (std::size_t d = 0; d < count; ++d) lengths[d] = 0.25 + static_cast<double>(below(8)) / 4;
  std::vector<Odd<std::int32_t>> documents;
  std::vector<Odd<Count>> frequencies;
  std::vector<shortlist::Term<Count>> terms;
  for (std::size_t t = below(5); t > 0; --t) {
    const std::size_t every = 1 + below(300);
    std::vector<std::int32_t> having;
    for (std::size_t d = below(every); d < count; d += 1 + below(every)) having.push_back(static_cast<std::int32_t>(d));
    documents.emplace_back(having.size());
    frequencies.emplace_back(having.size());
    const double weight = static_cast<double>(1 + below(9)) / 4;
    for (std::size_t i = 0; i < having.size(); ++i) {
      documents.back()[i] = having[i];
      frequencies.back()[i] = static_cast<Count>(1 + below(4));
      const double tf = frequencies.back()[i];
      expected[static_cast<std::size_t>(having[i])] +=
          tf / (lengths[static_cast<std::size_t>(having[i])] * 1.2 + tf) * weight;
    }
    terms.push_back({documents.back().data(), frequencies.back().data(), having.size(), weight});
  }
  auto best = shortlist::best_bm25(terms, lengths.data(), {count, nullptr, nullptr}, 1.2, k);
  std::vector<std::pair<double, std::int64_t>> scores;
  for (std::size_t d = 0; d < count; ++d) {
    if (expected[d] > 0) scores.emplace_back(expected[d], static_cast<std::int64_t>(d));
  }
  require_best(best, scores, k, kernels, "best_bm25");
}

}  // namespace

// Fuzz for some rounds, 300 unless told and 10 at least; what is named after their number must be among what runs here.
int main(int count, char** arguments) {
  const std::size_t rounds = count > 1 ? std::max<std::size_t>(10, std::stoul(arguments[1])) : 300;
  std::vector<std::string> missing(arguments + std::min(count, 2), arguments + count);
#ifdef SHORTLIST_SANITIZE
  const char* found = "nothing read or written elsewhere, nothing differs";
#else
  const char* found = "nothing differs";
#endif
  for (const Kernels* kernels : shortlist::available()) {
    missing.erase(std::remove(missing.begin(), missing.end(), kernels->name), missing.end());
    random_bits.seed(1);
    for (std::size_t round = 0; round < rounds; ++round) {
      maxsim(*kernels);
      maxsim_of_codes(*kernels);
      vectors(*kernels);
      bits(*kernels);
      checksums(*kernels);
      lists(*kernels);
      if (round % 10 == 0) words<std::uint8_t>(*kernels);
      if (round % 10 == 1) words<std::uint16_t>(*kernels);
      if (round % 10 == 2) words<std::uint32_t>(*kernels);
    }
    std::printf("%s: %zu rounds, %s\n", kernels->name, rounds, found);
  }
#ifdef SHORTLIST_AVX512
  // Where the bits of a vector are counted, signs are compared in another way than on older processors.
  if (!shortlist::available().empty() && shortlist::available().front()->name == shortlist::avx512.name) {
    for (std::size_t round = 0; round < rounds; ++round) bits(shortlist::avx512);
  }
#endif
  if (!missing.empty()) {
    std::fprintf(stderr, "%s: can't run here\n", missing.front().c_str());
    return 1;
  }
  std::string names;
  for (const auto* kernels : shortlist::transformers()) {
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  if (names.empty()) return 0;
  std::vector<float> differences;
  for (std::size_t round = 0; round < rounds / 5; ++round) {
    random_bits.seed(round);
    differences.push_back(fuzz_transformers());
  }
  std::sort(differences.begin(), differences.end());
  const float median = differences[differences.size() / 2];
  std::printf("transformer, %s: %zu models, %.2g from the loops at most, %.2g in the middle\n", names.c_str(),
              differences.size(), static_cast<double>(differences.back()), static_cast<double>(median));
  if (median > 1e-4f) {  // rounding to the other side befalls few
    std::fprintf(stderr, "transformer: too many models differ from the loops\n");
    return 1;
  }
}
