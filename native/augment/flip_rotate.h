// Flips and quarter turns: the eight symmetries of the square, without loss.
#pragma once

#include "augment/augmentations.h"

namespace cellsam::augment {

// In this order.
struct FlipRotate {
  bool flip_x = false;    // mirrors left and right
  bool flip_y = false;    // mirrors top and bottom
  int quarter_turns = 0;  // 0..3, counter-clockwise
};

// Each flip with probability 1/2; with probability 1/2 a turn by k drawn from 0..3 (so no turn in 5 of 8 cases).
FlipRotate draw_flip_rotate(CounterRng& rng);

// A quarter turn exchanges height and width.
Pixels apply(const FlipRotate& transform, const Pixels& pixels);

Pixels flip_rotate(const Pixels& pixels, CounterRng& rng);

}  // namespace cellsam::augment
