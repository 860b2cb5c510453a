// The transformer in loops that anyone can read, in float64 but for what is rounded to int8, and how far each
// instruction set's may lie from it.
#include <algorithm>
#include <cmath>
#include <vector>

#include "dispatch.hpp"
#include "fuzz.hpp"

namespace {

using shortlist::group;
using Row = std::vector<double>;
using Rows = std::vector<Row>;

// Where a number is on the border of two steps of int8, rounding in another order takes the other one, and what follows
// differs by a weight's share of a step. That befalls few models; of most all numbers lie as near as float32 sums do.
constexpr float step_tolerance = 0.1f;
constexpr float sum_tolerance = 1e-4f;

// y = W x + bias with int8 weights in groups of 64 inputs, each with its scale.
struct RandomLinear {
  std::size_t outputs, inputs;
  Odd<std::int8_t> weights;
  Odd<float> scales, bias;

  RandomLinear(std::size_t out, std::size_t in, float most)
      : outputs(out), inputs(in), weights(random_values<std::int8_t>(out * in)),
        scales(random_floats(out * in / group, most)), bias(random_floats(out, 0.1f)) {}

  void pack(shortlist::Linear& to, const shortlist::Layout& layout) const {
    to.pack(weights.data(), scales.data(), bias.data(), outputs, inputs, layout);
  }

  Row operator()(const Row& x) const {
    Row y(bias.data(), bias.data() + outputs);
    for (std::size_t first = 0; first < inputs; first += group) {
      double largest = 0;
      for (std::size_t k = first; k < first + group; ++k) largest = std::max(largest, std::abs(x[k]));
      for (std::size_t n = 0; n < outputs && largest > 0; ++n) {
        double sum = 0;
        for (std::size_t k = first; k < first + group; ++k) {
          sum += std::nearbyint(x[k] * 127 / largest) * weights[n * inputs + k];
        }
        y[n] += sum * scales[(n * inputs + first) / group] * largest / 127;
      }
    }
    return y;
  }
};

struct RandomNorm {
  Odd<float> weight, bias;

  explicit RandomNorm(std::size_t hidden, float most = 1)
      : weight(random_floats(hidden, most)), bias(random_floats(hidden, most)) {}

  shortlist::Norm view() const { return {weight.data(), bias.data()}; }

  void operator()(Row& x, double epsilon) const {
    double mean = 0, variance = 0;
    for (const double value : x) mean += value / static_cast<double>(x.size());
    for (const double value : x) variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(variance + epsilon) * weight[i] + bias[i];
    }
  }
};

struct RandomLayer {
  RandomLinear qkv, attention, intermediate, output;
  RandomNorm attention_norm, output_norm;

  RandomLayer(std::size_t hidden, std::size_t inner)
      : qkv(3 * hidden, hidden, 0.005f),  // so much that tokens differ in what they attend to
        attention(hidden, hidden, 0.001f), intermediate(inner, hidden, 0.001f), output(hidden, inner, 0.001f),
        attention_norm(hidden, below(10) ? 1.0f : 0.0f),  // now and then all that is rounded next is zero
        output_norm(hidden) {}
};

struct RandomModel {
  static constexpr std::size_t vocabulary = 20, longest = 80;

  float epsilon = below(2) ? 1e-12f : 1e-2f;
  std::size_t hidden, heads;
  Odd<std::int8_t> words;
  Odd<float> word_scales, positions, types;
  bool has_types;
  RandomNorm embedding_norm;
  std::vector<RandomLayer> layers;

  RandomModel()
      : hidden(group * (1 + below(3))), heads(hidden / group << below(3)),  // 64, 32 or 16 wide
        words(random_values<std::int8_t>(vocabulary * hidden)),
        word_scales(random_floats(vocabulary * hidden / group, 0.01f)),
        positions(random_floats(longest * hidden, 0.1f)), types(random_floats(2 * hidden, 0.1f)),
        has_types(below(2) > 0), embedding_norm(hidden) {
    const std::size_t inner = group * (1 + below(4)), count = 1 + below(2);
    for (std::size_t number = 0; number < count; ++number) layers.emplace_back(hidden, inner);
  }

  // The same as some kernels want it; this must outlive it.
  void pack(shortlist::Transformer& model, const shortlist::Layout& layout) const {
    model.hidden = hidden;
    model.heads = heads;
    model.epsilon = epsilon;
    model.words = words.data();
    model.word_scales = word_scales.data();
    model.positions = positions.data();
    model.types = has_types ? types.data() : nullptr;
    model.embedding_norm = embedding_norm.view();
    model.reserve(layers.size());
    for (std::size_t number = 0; number < layers.size(); ++number) {
      const RandomLayer& from = layers[number];
      shortlist::Layer& to = model.layers[number];
      from.qkv.pack(to.qkv, layout);
      from.attention.pack(to.attention, layout);
      from.intermediate.pack(to.intermediate, layout);
      from.output.pack(to.output, layout);
      to.attention_norm = from.attention_norm.view();
      to.output_norm = from.output_norm.view();
    }
  }

  // The last layer's vectors of one text's tokens.
  Rows operator()(const std::int32_t* ids, const std::uint8_t* its_types, std::size_t length) const {
    Rows x(length, Row(hidden));
    for (std::size_t token = 0; token < length; ++token) {
      for (std::size_t i = 0; i < hidden; ++i) {
        const std::size_t at = static_cast<std::size_t>(ids[token]) * hidden + i;
        x[token][i] = double{words[at] * word_scales[at / group]} + positions[token * hidden + i];
        if (has_types) x[token][i] += types[(its_types ? its_types[token] : 0) * hidden + i];
      }
      embedding_norm(x[token], epsilon);
    }
    for (const RandomLayer& layer : layers) {
      const Rows mixed = attend(layer, x);
      for (std::size_t token = 0; token < length; ++token) {
        add(x[token], layer.attention(mixed[token]));
        layer.attention_norm(x[token], epsilon);
        Row inner = layer.intermediate(x[token]);
        for (double& value : inner) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
        add(x[token], layer.output(inner));
        layer.output_norm(x[token], epsilon);
      }
    }
    return x;
  }

 private:
  static void add(Row& to, const Row& change) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += change[i];
  }

  Rows attend(const RandomLayer& layer, const Rows& x) const {
    const std::size_t width = hidden / heads;
    Rows qkv, mixed(x.size(), Row(hidden));
    for (const Row& row : x) qkv.push_back(layer.qkv(row));
    for (std::size_t first = 0; first < hidden; first += width) {
      for (std::size_t token = 0; token < x.size(); ++token) {
        Row weights(x.size());
        double total = 0;
        for (std::size_t other = 0; other < x.size(); ++other) {
          double product = 0;
          for (std::size_t i = first; i < first + width; ++i) product += qkv[token][i] * qkv[other][hidden + i];
          total += weights[other] = std::exp(product / std::sqrt(static_cast<double>(width)));
        }
        for (std::size_t other = 0; other < x.size(); ++other) {
          for (std::size_t i = first; i < first + width; ++i) {
            mixed[token][i] += weights[other] / total * qkv[other][2 * hidden + i];
          }
        }
      }
    }
    return mixed;
  }
};

double dot(const float* a, const float* b, std::size_t size, std::size_t stride = 1) {
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += double{a[i]} * b[i * stride];
  return sum;
}

// Say that a number is not what the loops give, unless it lies near enough; give how far it lies.
float require_near(float found, double expected, float tolerance, const char* kernels, const char* what,
                   std::size_t at) {
  const double difference = std::abs(found - expected);
  if (difference <= tolerance) return static_cast<float>(difference);  // and so not if it is no number
  std::fprintf(stderr, "%s: %s gives %g for number %zu, the loops %g: more than %g apart\n", kernels, what,
               static_cast<double>(found), at, expected, static_cast<double>(tolerance));
  std::exit(1);
}

}  // namespace

float fuzz_transformers() {
  if (shortlist::transformers().empty()) return 0;
  constexpr std::size_t dimensions = 96;
  const RandomModel random_model;
  const std::size_t hidden = random_model.hidden, texts = below(5);
  const auto places = random_offsets(texts, 0, below(3) ? RandomModel::longest : 5);
  const auto count = static_cast<std::size_t>(places[texts]), first = count > 1 ? 1 + below(count - 1) : 0;
  Odd<std::int32_t> ids(count);
  Odd<std::uint8_t> types(count);
  for (std::size_t i = 0; i < count; ++i) {
    ids[i] = static_cast<std::int32_t>(below(RandomModel::vocabulary));
    types[i] = static_cast<std::uint8_t>(below(2));
  }
  const std::uint8_t* known_types = random_model.has_types && below(2) ? types.data() : nullptr;
  const Odd<float> matrix = random_floats(hidden * dimensions, 1), weight = random_floats(hidden, 1);
  const float bias = below(2) ? 0.5f : 40.0f;  // both ways of softplus
  Odd<float> vectors(count * hidden);
  std::vector<double> expected;
  for (std::size_t text = 0; text < texts; ++text) {
    const auto begin = static_cast<std::size_t>(places[text]), end = static_cast<std::size_t>(places[text + 1]);
    const std::uint8_t* its_types = known_types ? known_types + begin : nullptr;
    for (const Row& row : random_model(ids.data() + begin, its_types, end - begin)) {
      expected.insert(expected.end(), row.begin(), row.end());
    }
  }
  std::copy(expected.begin(), expected.end(), vectors.data());

  float largest = 0;
  for (const auto* kernels : shortlist::transformers()) {
    shortlist::Transformer model;
    random_model.pack(model, kernels->layout);
    Odd<float> found(count * hidden), projected(count * dimensions);
    kernels->run(model, {ids.data(), known_types, places.data(), texts}, found.data());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const float difference = require_near(found[i], expected[i], step_tolerance, kernels->name, "run", i);
      largest = std::max(largest, difference);
    }

    kernels->project(vectors.data(), count, hidden, matrix.data(), dimensions, projected.data());
    for (std::size_t row = 0; row < count; ++row) {
      Row plain(dimensions);
      double squares = 0;
      for (std::size_t d = 0; d < dimensions; ++d) {
        plain[d] = dot(vectors.data() + row * hidden, matrix.data() + d, hidden, dimensions);
        squares += plain[d] * plain[d];
      }
      for (std::size_t d = 0; d < dimensions; ++d) {
        const std::size_t at = row * dimensions + d;
        require_near(projected[at], plain[d] / std::sqrt(squares), sum_tolerance, kernels->name, "project", at);
      }
    }

    if (first == 0) continue;
    double total = 0, counts = 0;
    for (std::size_t token = 0; token < first; ++token) {
      const float* vector = vectors.data() + token * hidden;
      const double counted = std::log1p(std::exp(dot(vector, weight.data(), hidden) + double{bias}));
      double best = -1;
      for (std::size_t other = first; other < count; ++other) {
        const float* its = vectors.data() + other * hidden;
        best = std::max(best, dot(vector, its, hidden) /
                                  std::sqrt(dot(vector, vector, hidden) * dot(its, its, hidden)));
      }
      total += counted * best;
      counts += counted;
    }
    const float mean = kernels->joint_maxsim(vectors.data(), count, first, hidden, weight.data(), bias);
    require_near(mean, total / counts, sum_tolerance, kernels->name, "joint_maxsim", 0);
  }
  return largest;
}
