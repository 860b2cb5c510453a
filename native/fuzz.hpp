// What the fuzzer's files share: random numbers, arrays at odd addresses, and a way to say what is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

inline std::mt19937_64 random_bits;

inline std::size_t below(std::size_t end) { return random_bits() % end; }

// An array that begins one item beyond an aligned address and ends where its heap block ends.
template <class T>
class Odd {
 public:
  explicit Odd(std::size_t size) : block_(new T[size + 1]), size_(size) {}
  T* data() { return block_.get() + 1; }
  const T* data() const { return block_.get() + 1; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<T[]> block_;
  std::size_t size_;
};

template <class T>
Odd<T> random_values(std::size_t size) {
  Odd<T> found(size);
  for (std::size_t i = 0; i < size; ++i) found[i] = static_cast<T>(random_bits());
  return found;
}

// Numbers from -most to most.
inline Odd<float> random_floats(std::size_t size, float most) {
  Odd<float> found(size);
  for (std::size_t i = 0; i < size; ++i) found[i] = most * (static_cast<float>(below(2001)) / 1000 - 1);
  return found;
}

inline Odd<std::int64_t> random_offsets(std::size_t count, std::size_t least, std::size_t most) {
  Odd<std::int64_t> found(count + 1);
  found[0] = 0;
  for (std::size_t i = 0; i < count; ++i) {
    found[i + 1] = found[i] + static_cast<std::int64_t>(least + below(most - least + 1));
  }
  return found;
}

// Hold what each instruction set's transformer gives to plain loops; give by how much the two differ at most.
float fuzz_transformers();
