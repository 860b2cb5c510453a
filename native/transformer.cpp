#include "transformer.hpp"

#include <algorithm>
#include <cstring>

namespace shortlist {

void Linear::pack(const std::int8_t* matrix, const float* its_scales, const float* its_bias, std::size_t rows,
                  std::size_t columns, const Layout& layout) {
  const std::size_t panel = layout.panel, word = layout.word;
  inputs = columns;
  outputs = rows;
  const std::size_t groups = inputs / group, panels = outputs / panel;
  weights.resize(inputs * outputs);
  scales.resize(4 * groups * outputs);
  starts.resize(4 * groups * outputs);
  bias.resize(4 * outputs);
  auto* packed = reinterpret_cast<std::int8_t*>(weights.words);
  auto* packed_scales = reinterpret_cast<float*>(scales.words);
  auto* packed_starts = reinterpret_cast<std::int32_t*>(starts.words);
  for (std::size_t p = 0; p < panels; ++p) {
    for (std::size_t g = 0; g < groups; ++g) {
      for (std::size_t n = 0; n < panel; ++n) {
        const std::size_t row = p * panel + n, place = (p * groups + g) * panel + n;
        const std::int8_t* from = matrix + row * inputs + g * group;
        std::int32_t sum = 0;
        for (std::size_t k = 0; k < group; ++k) {
          packed[(p * groups + g) * group * panel + k / word * word * panel + word * n + k % word] = from[k];
          sum += from[k];
        }
        packed_starts[place] = -layout.middle * sum;
        packed_scales[place] = its_scales[row * groups + g];
      }
    }
  }
  std::copy_n(its_bias, outputs, reinterpret_cast<float*>(bias.words));
}

Transformer::~Transformer() { delete[] layers; }

void Transformer::reserve(std::size_t count) {
  delete[] layers;
  layers = new Layer[count];
  layer_count = count;
}

}  // namespace shortlist
