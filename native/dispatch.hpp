// Which instruction sets can this machine run?
#pragma once

#include <vector>

#include "kernels.hpp"

namespace shortlist {

// The sets that were compiled and that this processor has, the fastest first; `portable` is always the last.
std::vector<const Kernels*> available();

}  // namespace shortlist
