// The words of plain-words.h for the 128-bit vectors of WebAssembly.
#pragma once

#include <wasm_simd128.h>

#include "plain-words.h"

namespace lathe {
namespace {

inline v128_t vector(Ints x) { return reinterpret_cast<v128_t>(x); }
inline v128_t vector(Floats x) { return reinterpret_cast<v128_t>(x); }
inline Ints ints(v128_t x) { return reinterpret_cast<Ints>(x); }
inline Floats floats(v128_t x) { return reinterpret_cast<Floats>(x); }

// pmin(a, b) is b < a ? b : a.
inline Floats min(Floats a, Floats b) { return floats(wasm_f32x4_pmin(vector(b), vector(a))); }
inline Floats max(Floats a, Floats b) { return floats(wasm_f32x4_pmax(vector(b), vector(a))); }
inline Floats squareRoot(Floats x) { return floats(wasm_f32x4_sqrt(vector(x))); }
inline Ints truncate(Floats x) { return ints(wasm_i32x4_trunc_sat_f32x4(vector(x))); }
inline bool any(Mask m) { return wasm_v128_any_true(vector(m)); }

inline Ints minPairs(Ints a, Ints b) { return ints(wasm_i16x8_min(vector(a), vector(b))); }
inline Ints maxPairs(Ints a, Ints b) { return ints(wasm_i16x8_max(vector(a), vector(b))); }
inline Ints minBytes(Ints a, Ints b) { return ints(wasm_u8x16_min(vector(a), vector(b))); }
inline Ints scalePairs(Ints a, Ints b) { return ints(wasm_i16x8_q15mulr_sat(vector(a), vector(b))); }
inline Ints sumProducts(Ints a, Ints b) { return ints(wasm_i32x4_dot_i16x8(vector(a), vector(b))); }

inline Ints narrowInts(Ints a, Ints b) { return ints(wasm_i16x8_narrow_i32x4(vector(a), vector(b))); }
inline Ints narrowPairs(Ints a, Ints b) { return ints(wasm_u8x16_narrow_i16x8(vector(a), vector(b))); }
inline Ints evens(Ints a, Ints b) { return ints(wasm_i32x4_shuffle(vector(a), vector(b), 0, 2, 4, 6)); }
inline Ints odds(Ints a, Ints b) { return ints(wasm_i32x4_shuffle(vector(a), vector(b), 1, 3, 5, 7)); }
inline Ints zipLowerBytes(Ints a, Ints b) {
  return ints(wasm_i8x16_shuffle(vector(a), vector(b), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
}
inline Ints zipUpperBytes(Ints a, Ints b) {
  return ints(wasm_i8x16_shuffle(vector(a), vector(b), 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
}
inline Ints zipLowerPairs(Ints a, Ints b) {
  return ints(wasm_i16x8_shuffle(vector(a), vector(b), 0, 8, 1, 9, 2, 10, 3, 11));
}
inline Ints zipUpperPairs(Ints a, Ints b) {
  return ints(wasm_i16x8_shuffle(vector(a), vector(b), 4, 12, 5, 13, 6, 14, 7, 15));
}
inline Ints lowerOfPairs(Ints x) {
  return ints(wasm_i16x8_shuffle(vector(x), vector(x), 0, 2, 4, 6, 0, 2, 4, 6));
}
inline Ints loadUpper(const uint8_t* from) { return ints(wasm_i32x4_shl(wasm_u32x4_load16x4(from), 16)); }

}  // namespace
}  // namespace lathe
