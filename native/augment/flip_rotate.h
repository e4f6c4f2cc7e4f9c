// Flips and quarter turns: the eight symmetries of the square. Lossless.
#pragma once

#include "augment/augment.h"

namespace cellsam::augment {

struct Augmentation {
  bool flip_x = false;    // mirror left and right, first
  bool flip_y = false;    // mirror top and bottom, second
  int quarter_turns = 0;  // 0..3 counter-clockwise, last
};

// Each flip with probability 1/2; with probability 1/2 a turn by k in 0..3 (so no turn in 5 of 8 cases).
Augmentation draw_flip_rotate(CounterRng& rng);

// Image and labels under the same geometry; a quarter turn swaps height and width.
Pixels apply(const Augmentation& augmentation, const Pixels& pixels);

}  // namespace cellsam::augment
