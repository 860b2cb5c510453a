// The k best of many scores without keeping them all, ties at the cut included, so that the caller can break them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace shortlist {

template <class Score>
class Best {
 public:
  // Documents below `least` are none; of `k` documents at least all are kept that could be among the best.
  Best(std::size_t k, Score least) : k_(k), limit_(2 * k + 64), threshold_(least) {}

  // What a score must reach to be of interest.
  Score threshold() const { return threshold_; }

  void add(Score score, std::int64_t position) {
    if (!(score >= threshold_)) return;
    found_.push_back({score, position});
    if (found_.size() >= limit_) cut();
  }

  void take(const Best& other) {
    for (const Scored& one : other.found_) add(one.score, one.position);
  }

  // Drop what is not among the best and give the rest, by ascending position.
  struct Scored {
    Score score;
    std::int64_t position;
  };
  const std::vector<Scored>& finish() {
    cut();
    std::sort(found_.begin(), found_.end(), [](const Scored& a, const Scored& b) { return a.position < b.position; });
    return found_;
  }

 private:
  void cut() {
    if (found_.size() > k_) {
      const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
      std::nth_element(found_.begin(), kth, found_.end(),
                       [](const Scored& a, const Scored& b) { return a.score > b.score; });
      threshold_ = std::max(threshold_, kth->score);
      found_.erase(std::remove_if(kth + 1, found_.end(), [&](const Scored& one) { return one.score < threshold_; }),
                   found_.end());
    }
    limit_ = std::max(limit_, 2 * found_.size());  // many may tie
  }

  std::size_t k_, limit_;
  Score threshold_;
  std::vector<Scored> found_;
};

}  // namespace shortlist
