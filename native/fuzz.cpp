// Random sizes, at addresses that no vector instruction would choose, each array in a heap block of exactly its size:
// built with AddressSanitizer and UndefinedBehaviorSanitizer, which stop at the first byte beyond. What is found is
// compared with loops that anyone can read.
//
//   make sanitize
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "search.hpp"
#include "transformer.hpp"

namespace {

using shortlist::Best;
using shortlist::Kernels;
using shortlist::Packed;

std::mt19937_64 random_bits;

std::size_t below(std::size_t end) { return random_bits() % end; }

// An array that begins one item beyond an aligned address and ends where its heap block ends.
template <class T>
class Odd {
 public:
  explicit Odd(std::size_t size) : block_(new T[size + 1]), size_(size) {}
  T* data() { return block_.get() + 1; }
  const T* data() const { return block_.get() + 1; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<T[]> block_;
  std::size_t size_;
};

template <class T>
Odd<T> drawn(std::size_t size) {
  Odd<T> found(size);
  for (std::size_t i = 0; i < size; ++i) found[i] = static_cast<T>(random_bits());
  return found;
}

[[noreturn]] void fail(const char* kernels, const char* what, const char* how) {
  std::fprintf(stderr, "%s: %s %s\n", kernels, what, how);
  std::exit(1);
}

void require(bool fulfilled, const Kernels& kernels, const char* what) {
  if (!fulfilled) fail(kernels.name, what, "differs from the loops");
}

std::int32_t product(const std::int8_t* a, const std::int8_t* b, std::size_t dimensions) {
  std::int32_t sum = 0;
  for (std::size_t d = 0; d < dimensions; ++d) sum += a[d] * b[d];
  return sum;
}

Odd<std::int64_t> offsets(std::size_t count, std::size_t least, std::size_t most) {
  Odd<std::int64_t> found(count + 1);
  found[0] = 0;
  for (std::size_t i = 0; i < count; ++i) {
    found[i + 1] = found[i] + static_cast<std::int64_t>(least + below(most - least + 1));
  }
  return found;
}

void maxsim(const Kernels& kernels) {
  const std::size_t queries = below(70), dimensions = 1 + below(150), passages = below(12);
  const auto places = offsets(passages, 0, 30);
  const auto query = drawn<std::int8_t>(queries * dimensions);
  const auto tokens = drawn<std::int8_t>(static_cast<std::size_t>(places[passages]) * dimensions);
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
  const auto places = offsets(passages, 0, 30);
  const auto query = drawn<std::int8_t>(queries * dimensions);
  const auto rows = drawn<std::uint8_t>(static_cast<std::size_t>(places[passages]) * width);
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
  const auto firsts = offsets(count, 1, 3);
  const auto rows = static_cast<std::size_t>(firsts[count]);
  const auto stored = drawn<std::int8_t>(rows * dimensions);
  const auto asked = drawn<std::int8_t>(queries * dimensions);
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
  const auto stored = drawn<std::uint64_t>(rows * words);
  const auto asked = drawn<std::uint64_t>(words);
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
}

void lists(const Kernels& kernels) {
  const std::size_t centroids = 1 + below(40), rows = below(20) ? below(50) : 600, dimensions = 1 + below(150);
  const auto stored = drawn<std::int8_t>(rows * dimensions);
  const auto centres = drawn<std::int8_t>(centroids * dimensions);
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
  const auto places = offsets(centroids, 0, 9);
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
  const auto places = offsets(ranges, 0, 300);
  const auto data = drawn<std::uint8_t>(static_cast<std::size_t>(places[ranges]));
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

Odd<float> numbers(std::size_t size, float most) {
  Odd<float> found(size);
  for (std::size_t i = 0; i < size; ++i) found[i] = most * (static_cast<float>(below(2001)) / 1000 - 1);
  return found;
}

// What a random model is made of.
struct Drawn {
  struct Linear {
    std::size_t outputs, inputs;
    Odd<std::int8_t> weights;
    Odd<float> scales, bias;
    Linear(std::size_t out, std::size_t in)
        : outputs(out), inputs(in), weights(drawn<std::int8_t>(out * in)), scales(numbers(out * in / 64, 0.001f)),
          bias(numbers(out, 0.1f)) {}
  };
  struct Norm {
    Odd<float> weight, bias;
    explicit Norm(std::size_t hidden) : weight(numbers(hidden, 1)), bias(numbers(hidden, 1)) {}
    shortlist::Norm given() const { return {weight.data(), bias.data()}; }
  };
  struct Layer {
    Linear qkv, attention, intermediate, output;
    Norm attention_norm, output_norm;
    Layer(std::size_t hidden, std::size_t inner)
        : qkv(3 * hidden, hidden), attention(hidden, hidden), intermediate(inner, hidden), output(hidden, inner),
          attention_norm(hidden), output_norm(hidden) {}
  };
  std::size_t hidden, heads;
  Odd<std::int8_t> words;
  Odd<float> word_scales, positions, types;
  bool has_types;
  Norm embedding_norm;
  std::vector<Layer> layers;

  Drawn(std::size_t blocks, std::size_t inner, std::size_t layer_count)
      : hidden(64 * blocks), heads(blocks << below(3)),  // 64, 32 or 16 wide
        words(drawn<std::int8_t>(20 * hidden)), word_scales(numbers(20 * hidden / 64, 0.01f)),
        positions(numbers(90 * hidden, 0.1f)), types(numbers(2 * hidden, 0.1f)), has_types(below(2) > 0),
        embedding_norm(hidden) {
    for (std::size_t number = 0; number < layer_count; ++number) layers.emplace_back(hidden, inner);
  }

  // The model as some kernels want it; this must outlive it.
  void pack(shortlist::Transformer& model, const shortlist::Layout& layout) const {
    const auto packed = [&](shortlist::Linear& to, const Linear& from) {
      to.pack(from.weights.data(), from.scales.data(), from.bias.data(), from.outputs, from.inputs, layout);
    };
    model.hidden = hidden;
    model.heads = heads;
    model.epsilon = 1e-12f;
    model.words = words.data();
    model.word_scales = word_scales.data();
    model.positions = positions.data();
    if (has_types) model.types = types.data();
    model.embedding_norm = embedding_norm.given();
    model.reserve(layers.size());
    for (std::size_t number = 0; number < layers.size(); ++number) {
      const Layer& from = layers[number];
      shortlist::Layer& to = model.layers[number];
      packed(to.qkv, from.qkv);
      packed(to.attention, from.attention);
      packed(to.intermediate, from.intermediate);
      packed(to.output, from.output);
      to.attention_norm = from.attention_norm.given();
      to.output_norm = from.output_norm.given();
    }
  }
};

// How far the forwards of two instruction sets may lie apart, whose sums are rounded in another order: what lies on the
// border of two steps of int8 may then fall to either side.
constexpr float most_apart = 0.05f;

// The forward's arithmetic is tested from Python; here it may not read or write elsewhere, and all instruction sets
// give the same but for rounding.
float forward() {
  const std::size_t blocks = 1 + below(3), inner = 64 * (1 + below(4)), layers = 1 + below(2);
  const Drawn drawn_model(blocks, inner, layers);
  const std::size_t hidden = drawn_model.hidden, texts = below(5);
  const auto places = offsets(texts, 0, 80);
  const auto count = static_cast<std::size_t>(places[texts]), first = count > 1 ? 1 + below(count - 1) : 0;
  Odd<std::int32_t> ids(count);
  Odd<std::uint8_t> types(count);
  for (std::size_t i = 0; i < count; ++i) {
    ids[i] = static_cast<std::int32_t>(below(20));
    types[i] = static_cast<std::uint8_t>(below(2));
  }
  const Odd<float> matrix = numbers(hidden * 96, 1), weight = numbers(hidden, 1);
  std::vector<float> expected;
  float apart = 0;
  for (const auto* runs : shortlist::transformers()) {
    shortlist::Transformer model;
    drawn_model.pack(model, runs->layout);
    Odd<float> found(count * hidden), projected(count * 96);
    runs->run(model, {ids.data(), model.types ? types.data() : nullptr, places.data(), texts}, found.data());
    runs->project(found.data(), count, hidden, matrix.data(), 96, projected.data());
    float mean = 0;
    if (count > 1) mean = runs->joint_maxsim(found.data(), count, first, hidden, weight.data(), 0.5f);
    std::vector<float> all(found.data(), found.data() + found.size());
    all.insert(all.end(), projected.data(), projected.data() + projected.size());
    all.push_back(mean);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!std::isfinite(all[i])) fail(runs->name, "the forward", "is not finite");
      if (!expected.empty()) apart = std::max(apart, std::abs(all[i] - expected[i]));
    }
    if (!(std::abs(mean) < 1.01f)) fail(runs->name, "joint_maxsim", "is no cosine");
    if (apart > most_apart) fail(runs->name, "the forward", "differs from the one before");
    if (expected.empty()) expected = std::move(all);
  }
  return apart;
}

}  // namespace

int main(int count, char** arguments) {
  const std::size_t rounds = count > 1 ? std::stoul(arguments[1]) : 300;
  for (const Kernels* kernels : shortlist::available()) {
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
    std::printf("%s: %zu rounds, nothing read or written elsewhere, nothing differs\n", kernels->name, rounds);
  }
  float apart = 0;
  for (std::size_t round = 0; round < rounds; round += 5) apart = std::max(apart, forward());
  std::string names;
  for (const auto* runs : shortlist::transformers()) names += std::string(names.empty() ? "" : ", ") + runs->name;
  if (!names.empty()) std::printf("the forward of %s: at most %.2g apart\n", names.c_str(), apart);
}
