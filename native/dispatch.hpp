// Which instruction sets can this machine run?
#pragma once

#include <vector>

#include "kernels.hpp"
#include "transformer.hpp"

namespace shortlist {

// The sets that were compiled and that this processor has, the fastest first; `portable` is always the last.
std::vector<const Kernels*> available();

// Those that run the transformer, the fastest first.
std::vector<const TransformerKernels*> transformers();

}  // namespace shortlist
