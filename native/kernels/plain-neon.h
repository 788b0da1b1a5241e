// The words of plain-words.h for NEON, which every 64-bit ARM processor has.
#pragma once

#include <arm_neon.h>

#include "plain-words.h"

namespace lathe {
namespace {

inline int16x8_t pairs(Ints x) { return reinterpret_cast<int16x8_t>(x); }
inline uint8x16_t bytes(Ints x) { return reinterpret_cast<uint8x16_t>(x); }
template <typename Vector>
inline Ints ints(Vector x) {
  return reinterpret_cast<Ints>(x);
}

// Not vminq_f32 and vmaxq_f32, which give NaN where one is NaN.
inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
inline Floats squareRoot(Floats x) { return vsqrtq_f32(x); }
inline Ints truncate(Floats x) { return ints(vcvtq_s32_f32(x)); }
inline bool any(Mask m) { return vmaxvq_u32(reinterpret_cast<uint32x4_t>(m)) != 0; }

inline Ints minPairs(Ints a, Ints b) { return ints(vminq_s16(pairs(a), pairs(b))); }
inline Ints maxPairs(Ints a, Ints b) { return ints(vmaxq_s16(pairs(a), pairs(b))); }
inline Ints minBytes(Ints a, Ints b) { return ints(vminq_u8(bytes(a), bytes(b))); }
inline Ints scalePairs(Ints a, Ints b) { return ints(vqrdmulhq_s16(pairs(a), pairs(b))); }
inline Ints sumProducts(Ints a, Ints b) {
  const int16x8_t x = pairs(a), y = pairs(b);
  return ints(vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}

inline Ints narrowInts(Ints a, Ints b) { return ints(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b))); }
inline Ints narrowPairs(Ints a, Ints b) { return ints(vcombine_u8(vqmovun_s16(pairs(a)), vqmovun_s16(pairs(b)))); }
inline Ints evens(Ints a, Ints b) { return ints(vuzp1q_s32(a, b)); }
inline Ints odds(Ints a, Ints b) { return ints(vuzp2q_s32(a, b)); }
inline Ints zipLowerBytes(Ints a, Ints b) { return ints(vzip1q_u8(bytes(a), bytes(b))); }
inline Ints zipUpperBytes(Ints a, Ints b) { return ints(vzip2q_u8(bytes(a), bytes(b))); }
inline Ints zipLowerPairs(Ints a, Ints b) { return ints(vzip1q_s16(pairs(a), pairs(b))); }
inline Ints zipUpperPairs(Ints a, Ints b) { return ints(vzip2q_s16(pairs(a), pairs(b))); }
inline Ints lowerOfPairs(Ints x) {
  const int16x4_t lower = vmovn_s32(x);
  return ints(vcombine_s16(lower, lower));
}
inline Ints loadUpper(const uint8_t* from) {
  uint16x4_t elements;
  __builtin_memcpy(&elements, from, sizeof elements);
  return ints(vshll_n_u16(elements, 16));
}

}  // namespace
}  // namespace lathe
