// Binary32 numbers and their bits. Static: each file has its own, in the instruction set that it may use.
#pragma once

#include <cstdint>

namespace lathe {

static inline uint32_t patternOf(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float floatOf(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace lathe
