// Four lanes of GCC/Clang vector extensions: SSE2 on x86-64, NEON on ARM, whatever the compiler makes of it elsewhere.
// The wrappers of this directory (simd-plain.h, simd-avx2.h, simd-avx512.h) offer the same names; what a name promises
// is written here. Included once per translation unit, after its target is set. min and max are `a < b ? a : b` and
// `a > b ? a : b`: the second operand wins when the operands are equal or one is NaN.
#pragma once

#include "kernels.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace lathe {
namespace {

constexpr int kLanes = 4;
// Decoding fp16 costs about as much as encoding a code: the kernels keep the decoded block.
constexpr bool kHalfLoadIsSlow = true;

typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));
typedef Ints Mask;  // all ones or all zeros per lane
typedef int32_t Suspects __attribute__((vector_size(16)));

inline Ints bitsOf(Floats x) { return reinterpret_cast<Ints>(x); }
inline Floats fromBits(Ints x) { return reinterpret_cast<Floats>(x); }

inline Floats broadcast(float x) { return Floats{x, x, x, x}; }
inline Ints broadcastInt(int32_t x) { return Ints{x, x, x, x}; }
inline Ints zeroInts() { return Ints{}; }

inline Floats loadFloats(const float* from) {
  Floats x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
inline void storeFloats(float* to, Floats x) { __builtin_memcpy(to, &x, sizeof x); }
inline void storeInts(int32_t* to, Ints x) { __builtin_memcpy(to, &x, sizeof x); }

#if defined(__SSE2__)
inline Floats min(Floats a, Floats b) { return _mm_min_ps(a, b); }
inline Floats max(Floats a, Floats b) { return _mm_max_ps(a, b); }
inline Ints truncate(Floats x) { return reinterpret_cast<Ints>(_mm_cvttps_epi32(x)); }
inline bool any(Mask m) { return _mm_movemask_ps(fromBits(m)) != 0; }
#else
inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
inline Ints truncate(Floats x) { return __builtin_convertvector(x, Ints); }
inline bool any(Mask m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
#endif

inline Floats add(Floats a, Floats b) { return a + b; }
inline Floats subtract(Floats a, Floats b) { return a - b; }
inline Floats multiply(Floats a, Floats b) { return a * b; }
inline Floats divide(Floats a, Floats b) { return a / b; }
inline Floats absolute(Floats x) { return fromBits(bitsOf(x) & broadcastInt(0x7fffffff)); }
inline Floats negate(Floats x) { return fromBits(bitsOf(x) ^ broadcastInt(INT32_MIN)); }
inline Floats toFloats(Ints x) { return __builtin_convertvector(x, Floats); }

inline Mask greater(Floats a, Floats b) { return a > b; }
inline Mask isZero(Floats x) { return x == broadcast(0.0f); }
// Per lane, `a` where the mask is set, else `b`.
inline Floats select(Mask m, Floats a, Floats b) { return fromBits((bitsOf(a) & m) | (bitsOf(b) & ~m)); }

inline Ints bitAnd(Ints a, Ints b) { return a & b; }
// acc | x << kShift.
template <int kShift>
inline Ints orShifted(Ints acc, Ints x) {
  return acc | (x << kShift);
}

// Four 16-bit values, zero-extended.
inline Ints widen(const uint8_t* from) {
#if defined(__SSE2__)
  return reinterpret_cast<Ints>(
      _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)), _mm_setzero_si128()));
#else
  uint16_t x[4];
  __builtin_memcpy(x, from, sizeof x);
  return Ints{x[0], x[1], x[2], x[3]};
#endif
}

// kLanes elements of type kType as floats. Exact for finite values; NaN and infinity may become anything.
template <FloatType kType>
inline Floats load(const uint8_t* from) {
  if constexpr (kType == FloatType::kFloat32) {
    Floats x;
    __builtin_memcpy(&x, from, sizeof x);
    return x;
  } else if constexpr (kType == FloatType::kBFloat16) {
    return fromBits(widen(from) << 16);
  } else {
    // Exponent and fraction moved into place, then the exponent's bias corrected by 2^(127 - 15); subnormals come out
    // normalised by the same multiplication.
    const Ints half = widen(from);
    const Floats magnitude = fromBits((half & broadcastInt(0x7fff)) << 13) * broadcast(0x1p112f);
    return fromBits(bitsOf(magnitude) | ((half & broadcastInt(0x8000)) << 16));
  }
}

// Stores kLanes floats as kType, rounded to nearest even, and returns the stored values.
template <FloatType kType>
inline Floats storeScales(uint8_t* to, Floats x) {
  if constexpr (kType == FloatType::kFloat32) {
    __builtin_memcpy(to, &x, sizeof x);
    return x;
  } else {
    uint16_t stored[kLanes];
    for (int lane = 0; lane < kLanes; lane++) {
      const uint32_t bits = static_cast<uint32_t>(bitsOf(x)[lane]);
      if constexpr (kType == FloatType::kBFloat16) {
        stored[lane] = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
      } else {
        const uint32_t sign = (bits >> 16) & 0x8000;
        const uint32_t magnitude = bits & 0x7fffffff;
        uint32_t half;
        if (magnitude >= 0x477ff000) {  // 65520 and above
          half = 0x7c00;
        } else if (magnitude >= 0x38800000) {  // 2^-14: normal
          half = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
        } else {
          // Adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded to nearest even by the addition.
          float value;
          __builtin_memcpy(&value, &magnitude, sizeof value);
          value += 0.5f;
          __builtin_memcpy(&half, &value, sizeof half);
          half -= 0x3f000000;
        }
        stored[lane] = static_cast<uint16_t>(sign | half);
      }
    }
    __builtin_memcpy(to, stored, sizeof stored);
    return load<kType>(to);
  }
}

// Takes note of kLanes * 4 bytes of elements; `hasNonFinite` then tells whether a NaN or infinity was among them.
inline Suspects noSuspects() { return Suspects{}; }
template <FloatType kType>
inline Suspects note(Suspects suspects, const uint8_t* from) {
  if constexpr (kType == FloatType::kFloat32) {
    Ints x;
    __builtin_memcpy(&x, from, sizeof x);
    const Ints exponent = broadcastInt(0x7f800000);
    return suspects | ((x & exponent) == exponent);
  } else {
    typedef int16_t Shorts __attribute__((vector_size(16)));
    constexpr int16_t kExponent = kType == FloatType::kFloat16 ? 0x7c00 : 0x7f80;
    const Shorts exponent = {kExponent, kExponent, kExponent, kExponent, kExponent, kExponent, kExponent, kExponent};
    Shorts x;
    __builtin_memcpy(&x, from, sizeof x);
    return suspects | reinterpret_cast<Ints>((x & exponent) == exponent);
  }
}
template <FloatType>
inline bool hasNonFinite(Suspects suspects) {
  return any(suspects);
}

#if defined(__SSE2__)
inline Floats evens(Floats a, Floats b) { return _mm_shuffle_ps(a, b, 0x88); }
inline Floats odds(Floats a, Floats b) { return _mm_shuffle_ps(a, b, 0xdd); }
#else
inline Floats evens(Floats a, Floats b) { return Floats{a[0], a[2], b[0], b[2]}; }
inline Floats odds(Floats a, Floats b) { return Floats{a[1], a[3], b[1], b[3]}; }
#endif

// Lane i of the result is the reduction of all lanes of parts[i].
template <Floats (*kReduce)(Floats, Floats)>
inline Floats reduceEach(const Floats* parts) {
  const Floats a = kReduce(evens(parts[0], parts[1]), odds(parts[0], parts[1]));
  const Floats b = kReduce(evens(parts[2], parts[3]), odds(parts[2], parts[3]));
  return kReduce(evens(a, b), odds(a, b));
}

#if defined(__SSE2__)
inline __m128i narrow(const Ints* codes) {
  const __m128i low = _mm_packs_epi32(reinterpret_cast<__m128i>(codes[0]), reinterpret_cast<__m128i>(codes[1]));
  const __m128i high = _mm_packs_epi32(reinterpret_cast<__m128i>(codes[2]), reinterpret_cast<__m128i>(codes[3]));
  return _mm_packus_epi16(low, high);
}
#endif

// Packs 4 * kLanes codes (0..255) to one byte each, in order.
inline void packBytes(const Ints* codes, uint8_t* to) {
#if defined(__SSE2__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), narrow(codes));
#else
  for (int i = 0; i < 16; i++) to[i] = static_cast<uint8_t>(codes[i / 4][i % 4]);
#endif
}

// Packs 4 * kLanes codes (0..15) to two a byte, low nibble first.
inline void packNibbles(const Ints* codes, uint8_t* to) {
#if defined(__SSE2__)
  const __m128i bytes = narrow(codes);
  // Each 16-bit lane holds codes (i, i + 1) in its bytes; bits 4..7 take the second one.
  const __m128i pairs = _mm_and_si128(_mm_or_si128(bytes, _mm_srli_epi16(bytes, 4)), _mm_set1_epi16(0xff));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(pairs, pairs));
#else
  for (int i = 0; i < 8; i++) {
    to[i] = static_cast<uint8_t>(codes[i / 2][i % 2 * 2] | codes[i / 2][i % 2 * 2 + 1] << 4);
  }
#endif
}

// Stores column `lane` of the kLanes x kLanes matrix `words` at to + lane * stride, for each of the first `lanes`.
inline void storeTransposed(const Ints* words, uint8_t* to, int64_t stride, int lanes) {
  for (int lane = 0; lane < lanes; lane++) {
    const Ints column = {words[0][lane], words[1][lane], words[2][lane], words[3][lane]};
    __builtin_memcpy(to + lane * stride, &column, sizeof column);
  }
}

}  // namespace
}  // namespace lathe
