// The transformer's forward, the same for all instruction sets. Included by one source file for each, after it has said
// what a vector of floats and one of sums is (`Simd`); everything here is local to that file, see kernels.hpp.
#pragma once

#include <cstring>

#include "transformer.hpp"

namespace shortlist {
namespace {

using Vector = Simd::Vector;
using Step = Simd::Step;  // of an activation

constexpr std::size_t lanes = Simd::lanes;
constexpr std::size_t panel = 2 * lanes;      // outputs that are computed together
constexpr int most_rows = Simd::rows;         // tokens that are
constexpr std::size_t word = 4 / sizeof(Step);  // inputs that are: what 32 bits hold
static_assert(most_rows <= 6 && group % panel == 0 && group % word == 0);
constexpr Layout layout = {panel, word, Simd::middle};
constexpr std::size_t at_once = 48;  // tokens that go through the wide layers together: they stay in the second cache

constexpr std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }
constexpr std::size_t round_up(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }

inline const float* floats(const Buffer& buffer) { return reinterpret_cast<const float*>(buffer.words); }

// Call use<R>() for R = count, from 1 to 6.
template <class Use>
inline void for_rows(std::size_t count, const Use& use) {
  switch (count) {
    case 1: return use.template operator()<1>();
    case 2: return use.template operator()<2>();
    case 3: return use.template operator()<3>();
    case 4: return use.template operator()<4>();
    case 5: return use.template operator()<5>();
    default: return use.template operator()<6>();
  }
}

// --- Functions of vectors -------------------------------------------------------------------------------------------

// e^x for x <= 0, to about one unit in the last place. Source: Cephes expf, its polynomial.
inline Vector exponential(Vector x) {
  x = Simd::highest(x, Simd::all(-104.0f));
  const Vector n = Simd::rounded(Simd::multiply(x, Simd::all(1.44269504088896341f)));
  Vector r = Simd::multiply_subtract(n, Simd::all(0.693359375f), x);
  r = Simd::multiply_subtract(n, Simd::all(-2.12194440e-4f), r);
  Vector p = Simd::all(1.9875691500e-4f);
  p = Simd::multiply_add(p, r, Simd::all(1.3981999507e-3f));
  p = Simd::multiply_add(p, r, Simd::all(8.3334519073e-3f));
  p = Simd::multiply_add(p, r, Simd::all(4.1665795894e-2f));
  p = Simd::multiply_add(p, r, Simd::all(1.6666665459e-1f));
  p = Simd::multiply_add(p, r, Simd::all(5.0000001201e-1f));
  p = Simd::multiply_add(p, Simd::multiply(r, r), Simd::add(r, Simd::all(1.0f)));
  return Simd::times_power(p, n);
}

// x times the normal distribution function at x. Source: Abramowitz and Stegun, 7.1.26, error below 1.5e-7.
inline Vector gelu(Vector x) {
  const Vector z = Simd::multiply(Simd::absolute(x), Simd::all(0.70710678118654752f));
  const Vector t = Simd::divide(Simd::all(1.0f), Simd::multiply_add(z, Simd::all(0.3275911f), Simd::all(1.0f)));
  Vector p = Simd::all(1.061405429f);
  p = Simd::multiply_add(p, t, Simd::all(-1.453152027f));
  p = Simd::multiply_add(p, t, Simd::all(1.421413741f));
  p = Simd::multiply_add(p, t, Simd::all(-0.284496736f));
  p = Simd::multiply_add(p, t, Simd::all(0.254829592f));
  const Vector minus_square = Simd::subtract(Simd::zero(), Simd::multiply(z, z));
  const Vector tail = Simd::multiply(Simd::multiply(p, t), exponential(minus_square));
  // tail is 1 - erf(z): the function is 1 - tail / 2 right of zero, tail / 2 left of it.
  const Vector half = Simd::multiply(tail, Simd::all(0.5f));
  return Simd::multiply(x, Simd::by_sign(x, Simd::subtract(Simd::all(1.0f), half), half));
}

// --- Products in int8 -----------------------------------------------------------------------------------------------

// Activations [rows, inputs] as 255 steps, of which the one in the middle is none, and a scale for each group.
struct Quantized {
  Step* steps;
  float* scales;
};

constexpr std::size_t vectors = group / lanes;  // of a group

inline void quantize_group(const Vector (&x)[vectors], Step* steps, float* scale) {
  Vector sizes = Simd::absolute(x[0]);
  for (std::size_t i = 1; i < vectors; ++i) sizes = Simd::highest(sizes, Simd::absolute(x[i]));
  const float largest = Simd::highest_lane(sizes);
  *scale = largest / 127.0f;
  const Vector factor = Simd::all(largest > 0 ? 127.0f / largest : 0.0f);
  for (std::size_t i = 0; i < vectors; ++i) Simd::store_steps(steps + i * lanes, Simd::multiply(x[i], factor));
}

inline void quantize_row(const float* row, std::size_t inputs, Step* steps, float* scales) {
  for (std::size_t g = 0; g < inputs / group; ++g) {
    Vector x[vectors];
    for (std::size_t i = 0; i < vectors; ++i) x[i] = Simd::load(row + g * group + i * lanes);
    quantize_group(x, steps + g * group, scales + g);
  }
}

// What the outputs of one panel are made of.
struct PanelWeights {
  std::size_t groups;
  const std::int8_t* weights;  // [groups, group, panel], word by word
  const std::int32_t* starts;  // [groups, panel]
  const float* scales;         // [groups, panel]
  const float* bias;           // [panel]

  PanelWeights(const Linear& linear, std::size_t which)
      : groups(linear.inputs / group),
        weights(reinterpret_cast<const std::int8_t*>(linear.weights.words) + which * panel * linear.inputs),
        starts(reinterpret_cast<const std::int32_t*>(linear.starts.words) + which * panel * groups),
        scales(floats(linear.scales) + which * panel * groups),
        bias(floats(linear.bias) + which * panel) {}
};

// Ask for bytes that are read soon: those whose line of memory begins among them, if `from` does at a line.
inline void prefetch(const void* from, std::size_t begin, std::size_t end) {
  for (std::size_t at = round_up(begin, 64); at < end; at += 64) {
    __builtin_prefetch(static_cast<const char*>(from) + at);
  }
}

// Some rows of activations [R, inputs], and where one panel's outputs of them go.
struct Tile {
  std::size_t inputs, outputs;  // of the whole product, which is how far rows lie apart
  const Step* steps;
  const float* scales;
  float* out;
};

// One panel's outputs of R rows. Meanwhile as much of the panel `ahead` is asked for (but for its bias), or all that it has.
template <int R, bool Ahead>
inline void multiply_tile(const PanelWeights& now, const Tile& tile, const PanelWeights& ahead) {
  const std::size_t groups = now.groups;
  Vector total[R][2];
  for (int v = 0; v < 2; ++v) {
    const Vector bias = Simd::load(now.bias + v * lanes);
    for (int r = 0; r < R; ++r) total[r][v] = bias;
  }
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t its_group = least(g, ahead.groups - 1);
    if constexpr (Ahead) {
      prefetch(ahead.starts, 4 * its_group * panel, 4 * (its_group + 1) * panel);
      prefetch(ahead.scales, 4 * its_group * panel, 4 * (its_group + 1) * panel);
    }
    Simd::Sums sum[R][2];
    for (int v = 0; v < 2; ++v) {
      const Simd::Sums start = Simd::load_sums(now.starts + g * panel + v * lanes);
      for (int r = 0; r < R; ++r) sum[r][v] = start;
    }
    const std::int8_t* part = now.weights + g * group * panel;
    const Step* row = tile.steps + g * group;
#pragma GCC unroll 16  // or gcc 12 copies every sum twice a step
    for (std::size_t k = 0; k < group; k += word) {
      if constexpr (Ahead) prefetch(ahead.weights + its_group * group * panel, k * panel, (k + word) * panel);
      const Simd::Sums first = Simd::load_weights(part + k * panel);
      const Simd::Sums second = Simd::load_weights(part + k * panel + word * lanes);
      for (int r = 0; r < R; ++r) {
        std::int32_t some;
        std::memcpy(&some, row + r * tile.inputs + k, 4);
        const Simd::Sums activation = Simd::all_words(some);
        sum[r][0] = Simd::add_products(sum[r][0], activation, first);
        sum[r][1] = Simd::add_products(sum[r][1], activation, second);
      }
    }
    for (int v = 0; v < 2; ++v) {
      const Vector weight_scale = Simd::load(now.scales + g * panel + v * lanes);
      for (int r = 0; r < R; ++r) {
        const Vector scale = Simd::multiply(weight_scale, Simd::all(tile.scales[r * groups + g]));
        total[r][v] = Simd::multiply_add(Simd::floats(sum[r][v]), scale, total[r][v]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < 2; ++v) Simd::store(tile.out + r * tile.outputs + v * lanes, total[r][v]);
  }
}

template <bool Ahead>
struct MultiplyTile {
  const PanelWeights& now;
  const Tile& tile;
  const PanelWeights& ahead;
  template <int R>
  void operator()() const {
    multiply_tile<R, Ahead>(now, tile, ahead);
  }
};

// Give W x + bias of `rows` rows, out [rows, outputs]. What a search does between two queries leaves few weights in the
// caches: they are asked for a panel ahead, and with the last panel the beginning of the weights that are `next`.
void multiply(const Linear& linear, const Quantized& x, std::size_t rows, float* out, const Linear& next) {
  const std::size_t panels = linear.outputs / panel;
  for (std::size_t which = 0; which < panels; ++which) {
    const PanelWeights now(linear, which);
    const PanelWeights ahead = which + 1 < panels ? PanelWeights(linear, which + 1) : PanelWeights(next, 0);
    for (std::size_t row = 0; row < rows; row += most_rows) {
      const Tile tile{linear.inputs, linear.outputs, x.steps + row * linear.inputs,
                      x.scales + row * (linear.inputs / group), out + row * linear.outputs + which * panel};
      if (row == 0) {
        for_rows(least(most_rows, rows), MultiplyTile<true>{now, tile, ahead});
      } else {
        for_rows(least(most_rows, rows - row), MultiplyTile<false>{now, tile, ahead});
      }
    }
  }
}

// --- Rows -----------------------------------------------------------------------------------------------------------

// Give the layer norm of a row of `hidden` numbers, in place.
inline void normalize(float* row, std::size_t hidden, const Norm& norm, float epsilon) {
  Vector sum = Simd::zero();
  for (std::size_t i = 0; i < hidden; i += lanes) sum = Simd::add(sum, Simd::load(row + i));
  const Vector mean = Simd::all(Simd::sum_of_lanes(sum) / static_cast<float>(hidden));
  Vector squares = Simd::zero();
  for (std::size_t i = 0; i < hidden; i += lanes) {
    const Vector away = Simd::subtract(Simd::load(row + i), mean);
    squares = Simd::multiply_add(away, away, squares);
  }
  const float variance = Simd::sum_of_lanes(squares) / static_cast<float>(hidden);
  const Vector factor = Simd::divide(Simd::all(1.0f), Simd::root(Simd::all(variance + epsilon)));
  for (std::size_t i = 0; i < hidden; i += lanes) {
    const Vector away = Simd::multiply(Simd::subtract(Simd::load(row + i), mean), factor);
    Simd::store(row + i, Simd::multiply_add(away, Simd::load(norm.weight + i), Simd::load(norm.bias + i)));
  }
}

inline float dot(const float* a, const float* b, std::size_t size) {
  Vector sum = Simd::zero();
  for (std::size_t i = 0; i < size; i += lanes) {
    sum = Simd::multiply_add(Simd::load(a + i), Simd::load(b + i), sum);
  }
  return Simd::sum_of_lanes(sum);
}

void embed(const Transformer& model, const Tokens& tokens, float* hidden) {
  const std::size_t width = model.hidden;
  for (std::size_t text = 0; text < tokens.texts; ++text) {
    const auto begin = static_cast<std::size_t>(tokens.offsets[text]);
    const auto end = static_cast<std::size_t>(tokens.offsets[text + 1]);
    for (std::size_t token = begin; token < end; ++token) {
      float* row = hidden + token * width;
      const auto id = static_cast<std::size_t>(tokens.ids[token]);
      for (std::size_t i = 0; i < width; i += lanes) {
        const Vector scale = Simd::all(model.word_scales[(id * width + i) / group]);
        Vector value = Simd::multiply(Simd::load_bytes(model.words + id * width + i), scale);
        value = Simd::add(value, Simd::load(model.positions + (token - begin) * width + i));
        if (model.types != nullptr) {
          const std::size_t type = tokens.types ? tokens.types[token] : 0;
          value = Simd::add(value, Simd::load(model.types + type * width + i));
        }
        Simd::store(row + i, value);
      }
      normalize(row, width, model.embedding_norm, model.epsilon);
    }
  }
}

// --- Products in float32 --------------------------------------------------------------------------------------------

// out [R, panel] = a [R, inner] times b [inner, panel], with strides.
template <int R>
inline void float_tile(const float* a, std::size_t a_stride, const float* b, std::size_t b_stride, std::size_t inner,
                       float* out, std::size_t out_stride) {
  Vector sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = Simd::zero();
  for (std::size_t k = 0; k < inner; ++k) {
    const Vector first = Simd::load(b + k * b_stride), second = Simd::load(b + k * b_stride + lanes);
    for (int r = 0; r < R; ++r) {
      const Vector value = Simd::all(a[r * a_stride + k]);
      sum[r][0] = Simd::multiply_add(value, first, sum[r][0]);
      sum[r][1] = Simd::multiply_add(value, second, sum[r][1]);
    }
  }
  for (int r = 0; r < R; ++r) {
    Simd::store(out + r * out_stride, sum[r][0]);
    Simd::store(out + r * out_stride + lanes, sum[r][1]);
  }
}

struct FloatTile {
  const float* a;
  std::size_t a_stride;
  const float* b;
  std::size_t b_stride, inner;
  float* out;
  std::size_t out_stride;
  template <int R>
  void operator()() const {
    float_tile<R>(a, a_stride, b, b_stride, inner, out, out_stride);
  }
};

// --- Attention ------------------------------------------------------------------------------------------------------

// What one text's attention needs: keys turned [width, padded], values [padded, wide], scores [most_rows, padded].
struct Scratch {
  float* keys;
  float* values;
  float* scores;
  float* found;  // [most_rows, wide]
};

// Mix the values of a text's tokens in one head: qkv [length, 3 * hidden] into mixed [length, hidden].
void attend(const float* qkv, std::size_t length, std::size_t hidden, std::size_t head, std::size_t width,
            const Scratch& scratch, float* mixed) {
  const std::size_t padded = round_up(length, panel), wide = round_up(width, panel), stride = 3 * hidden;
  const float scale = 1.0f / Simd::root(static_cast<float>(width));
  const float* queries = qkv + head * width;
  for (std::size_t token = 0; token < length; ++token) {
    const float* key = qkv + token * stride + hidden + head * width;
    for (std::size_t i = 0; i < width; ++i) scratch.keys[i * padded + token] = key[i] * scale;
    for (std::size_t i = 0; i < width; i += lanes) {
      Simd::store(scratch.values + token * wide + i, Simd::load(key + hidden + i));
    }
  }
  for (std::size_t row = 0; row < length; row += most_rows) {
    const std::size_t rows = least(most_rows, length - row);
    for (std::size_t column = 0; column < padded; column += panel) {
      for_rows(rows, FloatTile{queries + row * stride, stride, scratch.keys + column, padded, width,
                               scratch.scores + column, padded});
    }
    Vector sums[most_rows];
    for (std::size_t r = 0; r < rows; ++r) {
      float* scores = scratch.scores + r * padded;
      Vector highest = Simd::all(-3.4e38f);
      for (std::size_t at = 0; at < length; at += lanes) {
        highest = Simd::highest(highest, Simd::first(length - at, Simd::load(scores + at), highest));
      }
      highest = Simd::all(Simd::highest_lane(highest));
      Vector sum = Simd::zero();
      for (std::size_t at = 0; at < length; at += lanes) {
        const Vector away = Simd::subtract(Simd::load(scores + at), highest);
        const Vector weight = Simd::first(length - at, exponential(away), Simd::zero());
        Simd::store(scores + at, weight);
        sum = Simd::add(sum, weight);
      }
      sums[r] = Simd::all(Simd::sum_of_lanes(sum));
    }
    for (std::size_t i = 0; i < width; i += panel) {
      for_rows(rows, FloatTile{scratch.scores, padded, scratch.values + i, wide, length, scratch.found + i, wide});
    }
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < width; i += lanes) {
        const Vector found = Simd::divide(Simd::load(scratch.found + r * wide + i), sums[r]);
        Simd::store(mixed + (row + r) * hidden + head * width + i, found);
      }
    }
  }
}

// --- What the model runs --------------------------------------------------------------------------------------------

void run(const Transformer& model, const Tokens& tokens, float* x) {
  const std::size_t hidden = model.hidden, width = hidden / model.heads;
  const auto count = static_cast<std::size_t>(tokens.offsets[tokens.texts]);
  if (count == 0) return;
  embed(model, tokens, x);
  std::size_t longest = 0, inner = hidden;
  for (std::size_t text = 0; text < tokens.texts; ++text) {
    const auto length = static_cast<std::size_t>(tokens.offsets[text + 1] - tokens.offsets[text]);
    longest = length > longest ? length : longest;
  }
  for (std::size_t number = 0; number < model.layer_count; ++number) {
    const std::size_t outputs = model.layers[number].intermediate.outputs;
    inner = outputs > inner ? outputs : inner;
  }
  const std::size_t padded = round_up(longest, panel), wide = round_up(width, panel);
  const Buffer qkv(4 * count * 3 * hidden), mixed(4 * count * hidden), rows(4 * at_once * inner);
  const Buffer steps(sizeof(Step) * at_once * inner), scales(4 * at_once * inner / group);
  const Buffer keys(4 * width * padded), values(4 * padded * wide), scores(4 * most_rows * padded);
  const Buffer found(4 * most_rows * wide);
  const auto as_floats = [](const Buffer& buffer) { return reinterpret_cast<float*>(buffer.words); };
  const Quantized quantized{reinterpret_cast<Step*>(steps.words), as_floats(scales)};
  const Scratch scratch{as_floats(keys), as_floats(values), as_floats(scores), as_floats(found)};
  const auto quantize = [&](const float* from, std::size_t many, std::size_t inputs) {
    for (std::size_t r = 0; r < many; ++r) {
      quantize_row(from + r * inputs, inputs, quantized.steps + r * inputs, quantized.scales + r * (inputs / group));
    }
  };
  const auto add_and_normalize = [&](const float* change, float* to, std::size_t many, const Norm& norm) {
    for (std::size_t r = 0; r < many; ++r) {
      for (std::size_t i = r * hidden; i < (r + 1) * hidden; i += lanes) {
        Simd::store(to + i, Simd::add(Simd::load(to + i), Simd::load(change + i)));
      }
      normalize(to + r * hidden, hidden, norm, model.epsilon);
    }
  };
  for (std::size_t number = 0; number < model.layer_count; ++number) {
    const Layer& layer = model.layers[number];
    // After the last layer comes the first one, of the next text.
    const Layer& after = model.layers[number + 1 < model.layer_count ? number + 1 : 0];
    for (std::size_t start = 0; start < count; start += at_once) {
      const std::size_t many = least(at_once, count - start);
      quantize(x + start * hidden, many, hidden);
      multiply(layer.qkv, quantized, many, as_floats(qkv) + start * 3 * hidden,
               start + at_once < count ? layer.qkv : layer.attention);
    }
    for (std::size_t text = 0; text < tokens.texts; ++text) {
      const auto begin = static_cast<std::size_t>(tokens.offsets[text]);
      const auto length = static_cast<std::size_t>(tokens.offsets[text + 1]) - begin;
      for (std::size_t head = 0; head < model.heads && length; ++head) {
        attend(as_floats(qkv) + begin * 3 * hidden, length, hidden, head, width, scratch,
               as_floats(mixed) + begin * hidden);
      }
    }
    for (std::size_t start = 0; start < count; start += at_once) {
      const std::size_t many = least(at_once, count - start);
      float* part = x + start * hidden;
      quantize(as_floats(mixed) + start * hidden, many, hidden);
      multiply(layer.attention, quantized, many, as_floats(rows), layer.intermediate);
      add_and_normalize(as_floats(rows), part, many, layer.attention_norm);
      quantize(part, many, hidden);
      multiply(layer.intermediate, quantized, many, as_floats(rows), layer.output);
      const std::size_t outputs = layer.intermediate.outputs;
      for (std::size_t r = 0; r < many; ++r) {
        for (std::size_t g = 0; g < outputs / group; ++g) {
          Vector value[vectors];
          for (std::size_t i = 0; i < vectors; ++i) {
            value[i] = gelu(Simd::load(as_floats(rows) + r * outputs + g * group + i * lanes));
          }
          quantize_group(value, quantized.steps + r * outputs + g * group,
                         quantized.scales + r * (outputs / group) + g);
        }
      }
      multiply(layer.output, quantized, many, as_floats(rows), start + at_once < count ? layer.attention : after.qkv);
      add_and_normalize(as_floats(rows), part, many, layer.output_norm);
    }
  }
}

float joint_maxsim(const float* vectors, std::size_t length, std::size_t first, std::size_t hidden,
                   const float* weight, float bias) {
  const std::size_t others = length - first, padded = round_up(others, panel);
  const Buffer turned(4 * hidden * padded), asked(4 * most_rows * hidden), products(4 * most_rows * padded);
  auto* columns = reinterpret_cast<float*>(turned.words);
  auto* rows = reinterpret_cast<float*>(asked.words);
  auto* cosines = reinterpret_cast<float*>(products.words);
  const auto one_over_length = [&](const float* vector) {
    return 1.0f / Simd::root(dot(vector, vector, hidden));
  };
  for (std::size_t other = 0; other < others; ++other) {
    const float* vector = vectors + (first + other) * hidden;
    const float factor = one_over_length(vector);
    for (std::size_t i = 0; i < hidden; ++i) columns[i * padded + other] = vector[i] * factor;
  }
  double total = 0, counts = 0;
  for (std::size_t start = 0; start < first; start += most_rows) {
    const std::size_t count = least(most_rows, first - start);
    for (std::size_t r = 0; r < count; ++r) {
      const float* vector = vectors + (start + r) * hidden;
      const float factor = one_over_length(vector);
      for (std::size_t i = 0; i < hidden; ++i) rows[r * hidden + i] = vector[i] * factor;
    }
    for (std::size_t column = 0; column < padded; column += panel) {
      for_rows(count, FloatTile{rows, hidden, columns + column, padded, hidden, cosines + column, padded});
    }
    for (std::size_t r = 0; r < count; ++r) {
      float best = -2;
      for (std::size_t other = 0; other < others; ++other) {
        const float cosine = cosines[r * padded + other];
        best = cosine > best ? cosine : best;
      }
      const double raw = dot(vectors + (start + r) * hidden, weight, hidden) + bias;
      const double counted = raw > 30 ? raw : __builtin_log1p(__builtin_exp(raw));
      total += counted * best;
      counts += counted;
    }
  }
  return static_cast<float>(total / counts);
}

void project(const float* vectors, std::size_t count, std::size_t hidden, const float* matrix,
             std::size_t dimensions, float* projected) {
  for (std::size_t row = 0; row < count; row += most_rows) {
    const std::size_t rows = least(most_rows, count - row);
    for (std::size_t column = 0; column < dimensions; column += panel) {
      for_rows(rows, FloatTile{vectors + row * hidden, hidden, matrix + column, dimensions, hidden,
                               projected + row * dimensions + column, dimensions});
    }
    for (std::size_t r = row; r < row + rows; ++r) {
      Vector squares = Simd::zero();
      for (std::size_t i = 0; i < dimensions; i += lanes) {
        const Vector value = Simd::load(projected + r * dimensions + i);
        squares = Simd::multiply_add(value, value, squares);
      }
      const Vector length = Simd::root(Simd::all(Simd::sum_of_lanes(squares)));
      for (std::size_t i = 0; i < dimensions; i += lanes) {
        const Vector value = Simd::load(projected + r * dimensions + i);
        Simd::store(projected + r * dimensions + i, Simd::divide(value, length));
      }
    }
  }
}

}  // namespace
}  // namespace shortlist
