// What Python sees: arguments checked, the interpreter lock released, memory handed over without a copy.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dispatch.hpp"
#include "search.hpp"
#include "transformer.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T, int N>
using In = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
template <class T, int N>
using Out = nb::ndarray<nb::numpy, T, nb::ndim<N>>;
using Positions = Out<std::int64_t, 1>;

void require(bool fulfilled, const char* otherwise) {
  if (!fulfilled) throw nb::value_error(otherwise);
}

template <class T>
Out<T, 1> give(std::vector<T>&& values) {
  auto* kept = new std::vector<T>(std::move(values));
  const nb::capsule owner(kept, [](void* one) noexcept { delete static_cast<std::vector<T>*>(one); });
  return {kept->data(), {kept->size()}, owner};
}

template <class T>
Out<T, 2> give(std::vector<T>&& values, std::size_t rows, std::size_t columns) {
  auto* kept = new std::vector<T>(std::move(values));
  const nb::capsule owner(kept, [](void* one) noexcept { delete static_cast<std::vector<T>*>(one); });
  return {kept->data(), {rows, columns}, owner};
}

template <class T, class Score>
std::pair<Positions, Out<T, 1>> give(shortlist::Best<Score>& best) {
  std::vector<std::int64_t> positions;
  std::vector<T> scores;
  for (const auto& one : best.finish()) {
    positions.push_back(one.position);
    scores.push_back(static_cast<T>(one.score));
  }
  return {give(std::move(positions)), give(std::move(scores))};
}

// Offsets must begin at `first`, never descend, and end at `last`: what they point to is then inside.
void check_offsets(const In<std::int64_t, 1>& offsets, std::size_t last, const char* otherwise) {
  require(offsets.size() > 0 && offsets(0) == 0 &&
              offsets(offsets.size() - 1) == static_cast<std::int64_t>(last),
          otherwise);
  for (std::size_t i = 1; i < offsets.size(); ++i) require(offsets(i - 1) <= offsets(i), otherwise);
}

using Firsts = std::optional<In<std::int64_t, 1>>;
using Allowed = std::optional<In<bool, 1>>;

shortlist::Documents documents_of(std::size_t rows, const Firsts& firsts, const Allowed& allowed) {
  if (firsts) check_offsets(*firsts, rows, "firsts must ascend from 0 to the number of rows");
  const std::size_t count = firsts ? firsts->size() - 1 : rows;
  require(!allowed || allowed->size() == count, "allowed must have a value for each document");
  return {count, firsts ? firsts->data() : nullptr, allowed ? allowed->data() : nullptr};
}

class Native {
 public:
  explicit Native(const std::string& name) {
    for (const shortlist::Kernels* one : shortlist::available()) {
      if (one->name == name) kernels_ = one;
    }
    if (kernels_ == nullptr) throw nb::value_error(("this machine can't run " + name).c_str());
  }

  std::string name() const { return kernels_->name; }

  Out<double, 1> maxsim(In<std::int8_t, 2> query, In<std::int8_t, 2> tokens, In<std::int64_t, 1> offsets,
                        std::optional<In<double, 1>> weights, std::size_t threads) const {
    check_dimensions(query.shape(1), tokens.shape(1));
    check_offsets(offsets, tokens.shape(0), "offsets must ascend from 0 to the number of tokens");
    return scores_of(query, {tokens.data(), offsets.data()}, offsets.size() - 1, weights, threads);
  }

  // The same of tokens in 4 or 2 bits a component.
  Out<double, 1> maxsim_codes(In<std::int8_t, 2> query, In<std::uint8_t, 2> rows, In<std::int64_t, 1> offsets, int bits,
                              double length, std::optional<In<double, 1>> weights, std::size_t threads) const {
    check_dimensions(query.shape(1), query.shape(1));
    require(bits == 4 || bits == 2, "codes must have 4 or 2 bits");
    require(std::isfinite(length) && length > 0, "vectors must have a length");
    const std::size_t width = (query.shape(1) * static_cast<std::size_t>(bits) + 7) / 8;
    const shortlist::Codes codes{query.shape(1), width, bits, length};
    require(rows.shape(1) == width, "rows must be as wide as codes of the query's dimensions");
    check_offsets(offsets, rows.shape(0), "offsets must ascend from 0 to the number of tokens");
    return scores_of(query, {reinterpret_cast<const std::int8_t*>(rows.data()), offsets.data(), &codes},
                     offsets.size() - 1, weights, threads);
  }

  Out<float, 2> dot_products(In<std::int8_t, 2> vectors, In<std::int8_t, 2> queries, std::size_t threads) const {
    check_dimensions(queries.shape(1), vectors.shape(1));
    std::vector<float> products(queries.shape(0) * vectors.shape(0));
    {
      const nb::gil_scoped_release release;
      shortlist::Packed packed;
      kernels_->pack_rows(queries.data(), queries.shape(0), queries.shape(1), packed);
      shortlist::dot_products(*kernels_, packed, vectors.data(), vectors.shape(0), threads, products.data());
    }
    return give(std::move(products), queries.shape(0), vectors.shape(0));
  }

  std::vector<std::pair<Positions, Out<float, 1>>> best_products(In<std::int8_t, 2> vectors,
                                                                 In<std::int8_t, 2> queries, std::size_t k,
                                                                 Firsts firsts, Allowed allowed,
                                                                 std::size_t threads) const {
    check_dimensions(queries.shape(1), vectors.shape(1));
    const shortlist::Documents documents = documents_of(vectors.shape(0), firsts, allowed);
    require(k > 0, "k must be at least 1");
    std::vector<shortlist::Best<std::int32_t>> best;
    {
      const nb::gil_scoped_release release;
      shortlist::Packed packed;
      kernels_->pack_rows(queries.data(), queries.shape(0), queries.shape(1), packed);
      best = shortlist::best_products(*kernels_, packed, vectors.data(), documents, k, threads);
    }
    std::vector<std::pair<Positions, Out<float, 1>>> found;
    for (auto& one : best) found.push_back(give<float>(one));
    return found;
  }

  std::pair<Out<std::int16_t, 1>, Out<std::int64_t, 1>> bit_distances(In<std::uint64_t, 2> bits,
                                                                      In<std::uint64_t, 1> query,
                                                                      std::size_t threads) const {
    require(bits.shape(1) == query.size(), "rows and query must have as many bits");
    require(query.size() <= 500, "more bits than distances can count");
    std::vector<std::int16_t> distances(bits.shape(0));
    std::vector<std::int64_t> counts(64 * query.size() + 1);
    {
      const nb::gil_scoped_release release;
      shortlist::bit_distances(*kernels_, query.data(), bits.data(), bits.shape(0), bits.shape(1), threads,
                               distances.data(), counts.data());
    }
    return {give(std::move(distances)), give(std::move(counts))};
  }

  Out<std::int64_t, 1> rows_within(In<std::int16_t, 1> distances, std::int64_t reach) const {
    std::vector<std::int64_t> rows;
    {
      const nb::gil_scoped_release release;
      rows = shortlist::rows_within(distances.data(), distances.size(), reach);
    }
    return give(std::move(rows));
  }

  Out<std::int32_t, 1> nearest(In<std::int8_t, 2> vectors, In<std::int8_t, 2> centroids, std::size_t threads) const {
    check_dimensions(centroids.shape(1), vectors.shape(1));
    require(centroids.shape(0) > 0, "there must be a centroid");
    std::vector<std::int32_t> found(vectors.shape(0));
    {
      const nb::gil_scoped_release release;
      shortlist::Packed packed;
      kernels_->pack_rows(centroids.data(), centroids.shape(0), centroids.shape(1), packed);
      shortlist::nearest(*kernels_, packed, vectors.data(), vectors.shape(0), threads, found.data());
    }
    return give(std::move(found));
  }

  std::pair<Positions, Out<float, 1>> best_listed(In<std::int32_t, 1> passages, In<std::int64_t, 1> offsets,
                                                  In<std::int32_t, 2> probes, In<float, 2> gains, std::size_t count,
                                                  std::size_t k, Allowed allowed) const {
    check_offsets(offsets, passages.size(), "offsets must ascend from 0 to the number of passages in lists");
    require(gains.shape(0) == probes.shape(0) && gains.shape(1) == probes.shape(1), "each probe must have a gain");
    for (std::size_t i = 0; i < probes.size(); ++i) {
      const std::int32_t list = probes.data()[i];
      require(list >= 0 && static_cast<std::size_t>(list) + 1 < offsets.size(), "a probe of a list that is not there");
    }
    const shortlist::Documents all = documents_of(count, std::nullopt, allowed);
    require(k > 0, "k must be at least 1");
    std::optional<shortlist::Best<float>> best;
    {
      const nb::gil_scoped_release release;
      best = shortlist::best_listed({offsets.data(), passages.data()},
                                    {probes.shape(0), probes.shape(1), probes.data(), gains.data()}, all, k);
    }
    return give<float>(*best);
  }

  Out<std::uint32_t, 1> checksums(In<std::uint8_t, 1> data, In<std::int64_t, 1> offsets, std::size_t threads) const {
    check_offsets(offsets, data.size(), "offsets must ascend from 0 to the number of bytes");
    std::vector<std::uint32_t> found(offsets.size() - 1);
    {
      const nb::gil_scoped_release release;
      shortlist::checksums(*kernels_, data.data(), offsets.data(), found.size(), threads, found.data());
    }
    return give(std::move(found));
  }

  template <class Count>
  std::pair<Positions, Out<double, 1>> best_bm25(std::vector<In<std::int32_t, 1>> documents,
                                                 std::vector<In<Count, 1>> frequencies, std::vector<double> weights,
                                                 In<double, 1> relative_lengths, double k1, std::size_t k,
                                                 Allowed allowed) const {
    require(documents.size() == frequencies.size() && documents.size() == weights.size(),
            "each term must have documents, frequencies and a weight");
    require(k > 0, "k must be at least 1");
    std::vector<shortlist::Term<Count>> terms;
    for (std::size_t t = 0; t < documents.size(); ++t) {
      require(documents[t].size() == frequencies[t].size(), "each document of a term must have a frequency");
      terms.push_back({documents[t].data(), frequencies[t].data(), documents[t].size(), weights[t]});
    }
    const shortlist::Documents all = documents_of(relative_lengths.size(), std::nullopt, allowed);
    std::optional<shortlist::Best<double>> best;
    {
      const nb::gil_scoped_release release;
      best = shortlist::best_bm25(terms, relative_lengths.data(), all, k1, k);
    }
    return give<double>(*best);
  }

 private:
  Out<double, 1> scores_of(const In<std::int8_t, 2>& query, shortlist::Ragged passages, std::size_t count,
                           const std::optional<In<double, 1>>& weights, std::size_t threads) const {
    require(!weights || weights->size() == query.shape(0), "there must be a weight for each query token");
    std::vector<double> scores(count);
    {
      const nb::gil_scoped_release release;
      shortlist::Packed packed;
      kernels_->pack_lanes(query.data(), query.shape(0), query.shape(1), packed);
      shortlist::maxsim(*kernels_, packed, weights ? weights->data() : nullptr, passages, count, threads,
                        scores.data());
    }
    return give(std::move(scores));
  }

  // Products of bytes must fit into 32 bits, whatever the bytes.
  static void check_dimensions(std::size_t one, std::size_t other) {
    require(one == other, "the vectors differ in dimensions");
    require(one > 0, "vectors without dimensions");  // of which there could be more than memory has bytes
    require(one <= 32768, "vectors of more than 32,768 dimensions can't be compared exactly");
  }

  const shortlist::Kernels* kernels_ = nullptr;
};

// A transformer on packed tokens; it keeps the arrays that it was made of and reads.
class Transformer {
 public:
  // Tensors are named as in a weights file: matrices NAME.i8 with float32 scales NAME.scale, all else float32.
  Transformer(const std::string& kernels, nb::dict tensors, std::size_t layers, std::size_t heads, float epsilon) {
    for (const shortlist::TransformerKernels* one : shortlist::transformers()) {
      if (one->name == kernels) kernels_ = one;
    }
    if (kernels_ == nullptr) throw nb::value_error(("this machine can't run a transformer by " + kernels).c_str());
    require(layers <= 1000, "too many layers");
    const auto positions = kept<float, 2>(tensors, "embeddings.position.weight");
    model_.hidden = positions.shape(1);
    most_tokens_ = positions.shape(0);
    model_.positions = positions.data();
    require(model_.hidden > 0 && model_.hidden <= 8192 && model_.hidden % 64 == 0 && heads >= 1 &&
                model_.hidden % heads == 0 && model_.hidden / heads % 16 == 0,
            "hidden must be a multiple of 64, and of each head 16");
    model_.heads = heads;
    model_.epsilon = epsilon;
    const auto words = kept<std::int8_t, 2>(tensors, "embeddings.word.weight.i8");
    const auto scales = kept<float, 2>(tensors, "embeddings.word.weight.scale");
    require(words.shape(1) == model_.hidden && scales.shape(0) == words.shape(0) &&
                scales.shape(1) == model_.hidden / shortlist::group,
            "word embeddings of another shape");
    word_count_ = words.shape(0);
    model_.words = words.data();
    model_.word_scales = scales.data();
    if (tensors.contains("embeddings.type.weight")) {
      const auto types = kept<float, 2>(tensors, "embeddings.type.weight");
      require(types.shape(0) == 2 && types.shape(1) == model_.hidden, "type embeddings of another shape");
      model_.types = types.data();
    }
    model_.embedding_norm = norm(tensors, "embeddings.norm");
    model_.reserve(layers);
    for (std::size_t number = 0; number < layers; ++number) {
      const std::string name = "layer" + std::to_string(number);
      shortlist::Layer& layer = model_.layers[number];
      const std::size_t inner = found<std::int8_t, 2>(tensors, name + ".intermediate.weight.i8").shape(0);
      pack(tensors, layer.qkv, name + ".attention.qkv", 3 * model_.hidden, model_.hidden);
      pack(tensors, layer.attention, name + ".attention.output", model_.hidden, model_.hidden);
      pack(tensors, layer.intermediate, name + ".intermediate", inner, model_.hidden);
      pack(tensors, layer.output, name + ".output", model_.hidden, inner);
      layer.attention_norm = norm(tensors, name + ".attention.norm");
      layer.output_norm = norm(tensors, name + ".output.norm");
    }
  }

  std::size_t hidden() const { return model_.hidden; }
  bool has_types() const { return model_.types != nullptr; }

  Out<float, 2> operator()(In<std::int32_t, 1> ids, In<std::int64_t, 1> offsets,
                           std::optional<In<std::uint8_t, 1>> types) const {
    check_offsets(offsets, ids.size(), "offsets must ascend from 0 to the number of tokens");
    for (std::size_t t = 1; t < offsets.size(); ++t) {
      require(offsets(t) - offsets(t - 1) <= static_cast<std::int64_t>(most_tokens_), "a text has too many tokens");
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      require(ids(i) >= 0 && static_cast<std::size_t>(ids(i)) < word_count_, "a token that the model doesn't know");
    }
    if (types) {
      require(has_types(), "the model knows no types of tokens");
      require(types->size() == ids.size(), "each token must have a type");
      for (std::size_t i = 0; i < types->size(); ++i) require((*types)(i) < 2, "a type must be 0 or 1");
    }
    std::vector<float> hidden(ids.size() * model_.hidden);
    {
      const nb::gil_scoped_release release;
      kernels_->run(model_, {ids.data(), types ? types->data() : nullptr, offsets.data(), offsets.size() - 1},
                    hidden.data());
    }
    return give(std::move(hidden), ids.size(), model_.hidden);
  }

  // Compare the first tokens of a text with the others, as a judge with the head "maxsim" does.
  float joint_maxsim(In<float, 2> vectors, std::size_t first, In<float, 1> weight, float bias) const {
    require(vectors.shape(1) == model_.hidden && weight.size() == model_.hidden, "vectors of another size");
    require(first > 0 && first < vectors.shape(0), "there must be tokens on both sides");
    float found = 0;
    {
      const nb::gil_scoped_release release;
      found = kernels_->joint_maxsim(vectors.data(), vectors.shape(0), first, model_.hidden, weight.data(), bias);
    }
    return found;
  }

  // Multiply vectors by a matrix and scale each to length 1.
  Out<float, 2> project(In<float, 2> vectors, In<float, 2> matrix) const {
    require(vectors.shape(1) == model_.hidden && matrix.shape(0) == model_.hidden, "vectors of another size");
    require(matrix.shape(1) % 32 == 0 && matrix.shape(1) <= 8192,
            "the matrix must give a multiple of 32 dimensions");
    std::vector<float> projected(vectors.shape(0) * matrix.shape(1));
    {
      const nb::gil_scoped_release release;
      kernels_->project(vectors.data(), vectors.shape(0), vectors.shape(1), matrix.data(), matrix.shape(1),
                        projected.data());
    }
    return give(std::move(projected), vectors.shape(0), matrix.shape(1));
  }

 private:
  template <class T, int N>
  static In<T, N> found(const nb::dict& tensors, const std::string& name) {
    if (!tensors.contains(name.c_str())) throw nb::value_error(("no tensor " + name).c_str());
    In<T, N> array;
    if (!nb::try_cast(tensors[name.c_str()], array, false)) {  // a converted copy would be gone
      throw nb::value_error(("tensor " + name + " is of another kind").c_str());
    }
    return array;
  }
  template <class T, int N>
  In<T, N> kept(const nb::dict& tensors, const std::string& name) {
    In<T, N> array = found<T, N>(tensors, name);
    kept_.emplace_back(array);
    return array;
  }
  const float* vector(const nb::dict& tensors, const std::string& name, std::size_t size) {
    const auto array = kept<float, 1>(tensors, name);
    require(array.size() == size, "a tensor of another size");
    return array.data();
  }
  shortlist::Norm norm(const nb::dict& tensors, const std::string& name) {
    return {vector(tensors, name + ".weight", model_.hidden), vector(tensors, name + ".bias", model_.hidden)};
  }
  void pack(const nb::dict& tensors, shortlist::Linear& linear, const std::string& name, std::size_t outputs,
            std::size_t inputs) {
    const auto weights = found<std::int8_t, 2>(tensors, name + ".weight.i8");
    const auto scales = found<float, 2>(tensors, name + ".weight.scale");
    const auto bias = found<float, 1>(tensors, name + ".bias");
    require(weights.shape(0) == outputs && weights.shape(1) == inputs && outputs % 64 == 0 && inputs % 64 == 0 &&
                outputs > 0 && outputs <= 65536 && scales.shape(0) == outputs &&
                scales.shape(1) == inputs / shortlist::group && bias.size() == outputs,
            "a matrix of another shape");
    linear.pack(weights.data(), scales.data(), bias.data(), outputs, inputs, kernels_->layout);
  }

  const shortlist::TransformerKernels* kernels_ = nullptr;
  std::vector<nb::ndarray<>> kept_;  // what the model points into
  shortlist::Transformer model_;
  std::size_t most_tokens_ = 0, word_count_ = 0;
};

template <class Those>
std::vector<std::string> names(const Those& those) {
  std::vector<std::string> found;
  for (const auto* one : those) found.emplace_back(one->name);
  return found;
}

}  // namespace

NB_MODULE(_native, module) {
  nb::set_leak_warnings(false);  // what a cache holds until the end is no leak
  module.doc() = "The inner loops of search in C++; shortlist.scoring chooses between these and numpy.";
  module.def(
      "available", [] { return names(shortlist::available()); },
      "Name the instruction sets that this machine can run, the fastest first.");
  module.def(
      "transformers", [] { return names(shortlist::transformers()); },
      "Name those of them that can run a transformer, the fastest first.");
  nb::class_<Native> native(module, "Native");
  native
      .def(nb::init<const std::string&>(), "name"_a)
      .def_prop_ro("name", &Native::name)
      .def("maxsim", &Native::maxsim, "query"_a.noconvert(), "tokens"_a.noconvert(), "offsets"_a.noconvert(), "weights"_a.noconvert() = nb::none(), "threads"_a = 1)
      .def("maxsim_codes", &Native::maxsim_codes, "query"_a.noconvert(), "rows"_a.noconvert(), "offsets"_a.noconvert(), "bits"_a,
           "length"_a, "weights"_a.noconvert() = nb::none(), "threads"_a = 1)
      .def("dot_products", &Native::dot_products, "vectors"_a.noconvert(), "queries"_a.noconvert(), "threads"_a = 1)
      .def("best_products", &Native::best_products, "vectors"_a.noconvert(), "queries"_a.noconvert(), "k"_a, "firsts"_a.noconvert() = nb::none(),
           "allowed"_a.noconvert() = nb::none(), "threads"_a = 1)
      .def("bit_distances", &Native::bit_distances, "bits"_a.noconvert(), "query"_a.noconvert(), "threads"_a = 1)
      .def("rows_within", &Native::rows_within, "distances"_a.noconvert(), "reach"_a)
      .def("nearest", &Native::nearest, "vectors"_a.noconvert(), "centroids"_a.noconvert(), "threads"_a = 1)
      .def("best_listed", &Native::best_listed, "passages"_a.noconvert(), "offsets"_a.noconvert(), "probes"_a.noconvert(),
           "gains"_a.noconvert(), "count"_a, "k"_a, "allowed"_a.noconvert() = nb::none())
      .def("checksums", &Native::checksums, "data"_a.noconvert(), "offsets"_a.noconvert(), "threads"_a = 1);
  nb::class_<Transformer>(module, "Transformer")
      .def(nb::init<const std::string&, nb::dict, std::size_t, std::size_t, float>(), "kernels"_a, "tensors"_a, "layers"_a, "heads"_a, "epsilon"_a)
      .def_prop_ro("hidden", &Transformer::hidden)
      .def_prop_ro("has_types", &Transformer::has_types)
      .def("__call__", &Transformer::operator(), "ids"_a.noconvert(), "offsets"_a.noconvert(),
           "types"_a.noconvert() = nb::none())
      .def("joint_maxsim", &Transformer::joint_maxsim, "vectors"_a.noconvert(), "first"_a, "weight"_a.noconvert(),
           "bias"_a)
      .def("project", &Transformer::project, "vectors"_a.noconvert(), "matrix"_a.noconvert());
  const auto bm25 = [&](auto count) {
    native.def("best_bm25", &Native::best_bm25<decltype(count)>, "documents"_a.noconvert(), "frequencies"_a.noconvert(), "weights"_a,
               "relative_lengths"_a.noconvert(), "k1"_a, "k"_a, "allowed"_a.noconvert() = nb::none());
  };
  bm25(std::uint8_t{});
  bm25(std::uint16_t{});
  bm25(std::uint32_t{});
}
