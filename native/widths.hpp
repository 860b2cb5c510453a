// The usual widths of vectors of signs, for the file of each instruction set to include.
#pragma once

#include <cstddef>

namespace shortlist {
namespace {

// Call Of<Words>::run(given...), with `Words` as many as there are if that is usual, so that no loop is in its loop; else 0.
template <template <std::size_t> class Of, class... Given>
inline void by_width(std::size_t words, const Given&... given) {
  switch (words) {
    case 6: return Of<6>::run(given...);
    case 8: return Of<8>::run(given...);
    case 12: return Of<12>::run(given...);
    case 16: return Of<16>::run(given...);
    default: return Of<0>::run(given...);
  }
}

}  // namespace
}  // namespace shortlist
