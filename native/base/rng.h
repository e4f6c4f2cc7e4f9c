// Random numbers that are a pure function of a key, so that any order of work and any number of threads draw the same values.
// The generator is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#pragma once

#include <cstdint>
#include <initializer_list>

namespace cellsam {

class CounterRng {
 public:
  // Each key, such as {seed, epoch, sample}, has a stream of its own.
  CounterRng(std::initializer_list<std::uint64_t> key) {
    for (auto part : key) state_ = mix(state_ ^ mix(part + kGamma));
  }

  std::uint64_t next() { return mix(state_ += kGamma); }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
  std::uint64_t below(std::uint64_t n) {                                      // 0 .. n-1, without modulo bias
    const std::uint64_t limit = n * ((~std::uint64_t{0}) / n);
    std::uint64_t draw = next();
    while (draw >= limit) draw = next();
    return draw % n;
  }

 private:
  static constexpr std::uint64_t kGamma = 0x9e3779b97f4a7c15ULL;
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t state_ = 0;
};

}  // namespace cellsam
