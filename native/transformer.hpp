// A BERT-like transformer whose weights are int8 with a scale for each group of 64, run on packed tokens.
//
// Activations become int8 in groups of 64 as well, each with its own scale, so that a token's numbers depend on its own
// text alone, whatever else is in the batch. Everything between the products is float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.hpp"

namespace shortlist {

constexpr std::size_t group = 64;  // components that share a scale

// How an instruction set wants weights: the outputs and inputs that it multiplies at once, and the step of an activation
// that stands for zero.
struct Layout {
  std::size_t panel, word;
  std::int32_t middle;
};

// y = W x + bias, W [outputs, inputs] in panels: panel, then group, then word by word of inputs for all outputs of the
// panel.
struct Linear {
  std::size_t inputs = 0, outputs = 0;
  Buffer weights;  // int8
  Buffer scales;   // float32 [panels, groups, panel]
  Buffer starts;   // int32 [panels, groups, panel]: what sums begin at, as activations count from the middle
  Buffer bias;     // float32 [outputs]

  // `weights` is [outputs, inputs], `scales` [outputs, inputs / 64], `bias` [outputs]; both sizes are multiples of 64.
  void pack(const std::int8_t* weights, const float* scales, const float* bias, std::size_t outputs,
            std::size_t inputs, const Layout& layout);
};

struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;
};

struct Layer {
  Linear qkv, attention, intermediate, output;
  Norm attention_norm, output_norm;
};

// Arrays that are not owned must outlive this.
struct Transformer {
  std::size_t hidden = 0, heads = 0, layer_count = 0;
  float epsilon = 0;
  const std::int8_t* words = nullptr;    // [words, hidden]
  const float* word_scales = nullptr;    // [words, hidden / 64]
  const float* positions = nullptr;
  const float* types = nullptr;  // [2, hidden], or null
  Norm embedding_norm;
  Layer* layers = nullptr;

  Transformer() = default;
  ~Transformer();
  Transformer(const Transformer&) = delete;
  Transformer& operator=(const Transformer&) = delete;
  void reserve(std::size_t layer_count);
};

// Texts one after the other: text t has the tokens offsets[t] to offsets[t + 1] of ids, and of types if there are any.
struct Tokens {
  const std::int32_t* ids;
  const std::uint8_t* types;
  const std::int64_t* offsets;
  std::size_t texts;
};

// The parts of it that an instruction set runs.
struct TransformerKernels {
  const char* name;
  Layout layout;  // of every Linear

  // Give the last layer's vectors of all tokens, [tokens, hidden].
  void (*run)(const Transformer& model, const Tokens& tokens, float* hidden);

  // Multiply vectors [count, hidden] by a matrix [hidden, dimensions] and scale each to length 1. `dimensions` is a
  // multiple of 32.
  void (*project)(const float* vectors, std::size_t count, std::size_t hidden, const float* matrix,
                  std::size_t dimensions, float* projected);

  // Give the weighted mean, over the first `first` of a text's tokens [length, hidden], of the best cosine with one of
  // the others. A token counts softplus(its product with `weight`, plus `bias`). 0 < first < length.
  float (*joint_maxsim)(const float* vectors, std::size_t length, std::size_t first, std::size_t hidden,
                        const float* weight, float bias);
};

extern const TransformerKernels transformer_avx2;  // compiled where the compiler can
extern const TransformerKernels transformer_avx512;

}  // namespace shortlist
