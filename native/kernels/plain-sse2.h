// The words of plain-words.h for SSE2, which every x86-64 processor has.
#pragma once

#include <emmintrin.h>

#include "plain-words.h"

namespace lathe {
namespace {

inline __m128i vector(Ints x) { return reinterpret_cast<__m128i>(x); }
inline Ints ints(__m128i x) { return reinterpret_cast<Ints>(x); }

inline Floats min(Floats a, Floats b) { return _mm_min_ps(a, b); }
inline Floats max(Floats a, Floats b) { return _mm_max_ps(a, b); }
inline Floats squareRoot(Floats x) { return _mm_sqrt_ps(x); }
inline Ints truncate(Floats x) { return ints(_mm_cvttps_epi32(x)); }
inline bool any(Mask m) { return _mm_movemask_ps(fromBits(m)) != 0; }

inline Ints minPairs(Ints a, Ints b) { return ints(_mm_min_epi16(vector(a), vector(b))); }
inline Ints maxPairs(Ints a, Ints b) { return ints(_mm_max_epi16(vector(a), vector(b))); }
inline Ints minBytes(Ints a, Ints b) { return ints(_mm_min_epu8(vector(a), vector(b))); }
// From both halves of the products: twice the upper one, and what the lower one rounds to in units of 2^15: 0, 1 or 2.
inline Ints scalePairs(Ints a, Ints b) {
  const __m128i lower = _mm_mullo_epi16(vector(a), vector(b)), upper = _mm_mulhi_epi16(vector(a), vector(b));
  const __m128i half = _mm_and_si128(_mm_srli_epi16(lower, 14), _mm_set1_epi16(1));
  const __m128i rounded = _mm_add_epi16(_mm_srli_epi16(lower, 15), half);
  return ints(_mm_add_epi16(_mm_add_epi16(upper, upper), rounded));
}
inline Ints sumProducts(Ints a, Ints b) { return ints(_mm_madd_epi16(vector(a), vector(b))); }

inline Ints narrowInts(Ints a, Ints b) { return ints(_mm_packs_epi32(vector(a), vector(b))); }
inline Ints narrowPairs(Ints a, Ints b) { return ints(_mm_packus_epi16(vector(a), vector(b))); }
inline Ints evens(Ints a, Ints b) { return bitsOf(_mm_shuffle_ps(fromBits(a), fromBits(b), 0x88)); }
inline Ints odds(Ints a, Ints b) { return bitsOf(_mm_shuffle_ps(fromBits(a), fromBits(b), 0xdd)); }
inline Ints zipLowerBytes(Ints a, Ints b) { return ints(_mm_unpacklo_epi8(vector(a), vector(b))); }
inline Ints zipUpperBytes(Ints a, Ints b) { return ints(_mm_unpackhi_epi8(vector(a), vector(b))); }
inline Ints zipLowerPairs(Ints a, Ints b) { return ints(_mm_unpacklo_epi16(vector(a), vector(b))); }
inline Ints zipUpperPairs(Ints a, Ints b) { return ints(_mm_unpackhi_epi16(vector(a), vector(b))); }
inline Ints lowerOfPairs(Ints x) {
  const Ints lower = x << 16 >> 16;
  return narrowInts(lower, lower);
}
inline Ints loadUpper(const uint8_t* from) {
  return ints(_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}

}  // namespace
}  // namespace lathe
