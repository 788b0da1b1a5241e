// The words of plain-words.h for any processor: whatever the compiler makes of them.
#pragma once

#include "plain-words.h"

namespace lathe {
namespace {

// `a < b ? a : b` and `a > b ? a : b`: b where the operands are equal or one is NaN.
inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
inline Floats squareRoot(Floats x) {
  for (int lane = 0; lane < kLanes; lane++) x[lane] = __builtin_sqrtf(x[lane]);
  return x;
}
// The integer part of numbers between -2^31 and 2^31; a code that packs as 0 for NaN and -infinity.
inline Ints truncate(Floats x) {
  return __builtin_convertvector(min(max(x, broadcast(-0x1p30f)), broadcast(0x1p30f)), Ints);
}
// Whether the mask is set in any lane.
inline bool any(Mask m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }

// Of signed 16-bit integers, and of unsigned bytes.
inline Ints minPairs(Ints a, Ints b) { return fromShorts(shortsOf(a) < shortsOf(b) ? shortsOf(a) : shortsOf(b)); }
inline Ints maxPairs(Ints a, Ints b) { return fromShorts(shortsOf(a) > shortsOf(b) ? shortsOf(a) : shortsOf(b)); }
inline Ints minBytes(Ints a, Ints b) {
  const Bytes x = reinterpret_cast<Bytes>(a), y = reinterpret_cast<Bytes>(b);
  return reinterpret_cast<Ints>(x < y ? x : y);
}
// (a * b + 2^14) >> 15, for products below 2^30.
inline Ints scalePairs(Ints a, Ints b) {
  const Ints low = ((a << 16 >> 16) * (b << 16 >> 16) + 0x4000) >> 15;
  const Ints high = ((a >> 16) * (b >> 16) + 0x4000) >> 15;
  return (low & broadcastInt(0xffff)) | (high << 16);
}
// Per lane, the sum of both products, in 32 bits.
inline Ints sumProducts(Ints a, Ints b) { return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16); }

// Integers of half the width, those of a before those of b, limited to what it holds: signed 32 bits to signed 16, and
// signed 16 to unsigned 8. Wider registers do this, and the zips below, in each 128 bits by themselves.
inline Ints narrowInts(Ints a, Ints b) {
  Shorts x;
  for (int i = 0; i < 8; i++) {
    const int32_t from = i < 4 ? a[i] : b[i - 4];
    x[i] = static_cast<int16_t>(from < INT16_MIN ? INT16_MIN : from > INT16_MAX ? INT16_MAX : from);
  }
  return fromShorts(x);
}
inline Ints narrowPairs(Ints a, Ints b) {
  Bytes x;
  for (int i = 0; i < 16; i++) {
    const int16_t from = i < 8 ? shortsOf(a)[i] : shortsOf(b)[i - 8];
    x[i] = static_cast<uint8_t>(from < 0 ? 0 : from > 255 ? 255 : from);
  }
  return reinterpret_cast<Ints>(x);
}
// Lanes 0 and 2, or 1 and 3, of a and b.
inline Ints evens(Ints a, Ints b) { return Ints{a[0], a[2], b[0], b[2]}; }
inline Ints odds(Ints a, Ints b) { return Ints{a[1], a[3], b[1], b[3]}; }
// The lower or upper 64 bits of a and b interleaved, in bytes or in 16 bits.
template <typename Elements>
inline Ints zip(Ints a, Ints b, int first) {
  const Elements x = reinterpret_cast<Elements>(a), y = reinterpret_cast<Elements>(b);
  Elements zipped;
  for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) zipped[i] = (i % 2 == 0 ? x : y)[first + i / 2];
  return reinterpret_cast<Ints>(zipped);
}
inline Ints zipLowerBytes(Ints a, Ints b) { return zip<Bytes>(a, b, 0); }
inline Ints zipUpperBytes(Ints a, Ints b) { return zip<Bytes>(a, b, 8); }
inline Ints zipLowerPairs(Ints a, Ints b) { return zip<Shorts>(a, b, 0); }
inline Ints zipUpperPairs(Ints a, Ints b) { return zip<Shorts>(a, b, 4); }
// The lower 64 bits hold the lower 16 bits of each lane.
inline Ints lowerOfPairs(Ints x) {
  typedef int16_t Lower __attribute__((vector_size(8)));
  const Lower lower = __builtin_convertvector(x, Lower);
  Ints lowest = {};
  __builtin_memcpy(&lowest, &lower, sizeof lower);
  return lowest;
}
// Four 16-bit elements, each in the upper half of a lane; the lower one is 0.
inline Ints loadUpper(const uint8_t* from) {
  typedef uint16_t Elements __attribute__((vector_size(8)));
  Elements elements;
  __builtin_memcpy(&elements, from, sizeof elements);
  return __builtin_convertvector(elements, Ints) << 16;
}

}  // namespace
}  // namespace lathe
