// Share work between threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace shortlist {

// How many threads `parts` are worth.
inline std::size_t worth(std::size_t threads, std::size_t parts) {
  return std::max<std::size_t>(1, std::min(threads, parts));
}

// Call work(part, thread) for parts 0 to `parts`, on up to `threads` threads; threads count from 0, which is the caller.
template <class Work>
void in_parallel(std::size_t parts, std::size_t threads, const Work& work) {
  threads = worth(threads, parts);
  std::atomic<std::size_t> next{0};
  std::exception_ptr failed;
  std::atomic<bool> has_failed{false};
  const auto run = [&](std::size_t thread) {
    try {
      for (std::size_t part = next++; part < parts && !has_failed; part = next++) work(part, thread);
    } catch (...) {
      if (!has_failed.exchange(true)) failed = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads - 1);
  try {
    for (std::size_t thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  } catch (...) {
    // The system gives no more threads, or no memory for them: those that there are do the work.
  }
  run(0);
  for (std::thread& one : others) one.join();
  if (failed) std::rethrow_exception(failed);
}

}  // namespace shortlist
