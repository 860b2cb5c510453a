// Which instruction sets can this machine run?
#pragma once

#include <vector>

#include "kernels.hpp"

namespace shortlist {

// Whether this processor, and what was compiled, can run the transformer.
bool can_run_avx512();

// The sets that were compiled and that this processor has, the fastest first; `portable` is always the last.
std::vector<const Kernels*> available();

}  // namespace shortlist
