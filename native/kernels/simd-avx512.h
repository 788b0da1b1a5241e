// Sixteen lanes of AVX-512 (F, BW, DQ, VL). What the names promise is written in simd-plain.h.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace lathe {
namespace {

constexpr int kLanes = 16;

typedef __m512 Floats;
typedef __m512i Ints;
typedef __mmask16 Mask;

inline Ints bitsOf(Floats x) { return _mm512_castps_si512(x); }
inline Floats fromBits(Ints x) { return _mm512_castsi512_ps(x); }
inline Floats broadcast(float x) { return _mm512_set1_ps(x); }
inline Ints broadcastInt(int32_t x) { return _mm512_set1_epi32(x); }

inline Ints loadInts(const void* from) { return _mm512_loadu_si512(from); }
inline void storeInts(void* to, Ints x) { _mm512_storeu_si512(to, x); }
inline void storeFloats(float* to, Floats x) { _mm512_storeu_ps(to, x); }

inline Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
inline Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
inline Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
inline Floats absolute(Floats x) { return _mm512_abs_ps(x); }
inline Floats negate(Floats x) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), x); }
inline Ints truncate(Floats x) { return _mm512_cvttps_epi32(x); }
inline Floats toFloats(Ints x) { return _mm512_cvtepi32_ps(x); }

inline Mask greater(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
inline Mask isZero(Floats x) { return _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_EQ_OQ); }
inline bool any(Mask m) { return m != 0; }
inline Floats select(Mask m, Floats a, Floats b) { return _mm512_mask_blend_ps(m, b, a); }
inline Ints bitAnd(Ints a, Ints b) { return _mm512_and_si512(a, b); }

inline Ints selectInts(Mask m, Ints a, Ints b) { return _mm512_mask_blend_epi32(m, b, a); }
inline Floats squareRoot(Floats x) { return _mm512_sqrt_ps(x); }
inline Ints roundNear(Floats x) { return _mm512_cvtps_epi32(x); }

inline Ints broadcastPair(int16_t x) { return _mm512_set1_epi16(x); }
inline Ints addInts(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Ints addPairs(Ints a, Ints b) { return _mm512_add_epi16(a, b); }
inline Ints subtractPairs(Ints a, Ints b) { return _mm512_sub_epi16(a, b); }
inline Ints absolutePairs(Ints x) { return _mm512_abs_epi16(x); }
inline Ints multiplyPairs(Ints a, Ints b) { return _mm512_mullo_epi16(a, b); }
inline Ints scalePairs(Ints a, Ints b) { return _mm512_mulhrs_epi16(a, b); }
inline Ints sumProducts(Ints a, Ints b) { return _mm512_madd_epi16(a, b); }
template <int kBits>
inline Ints shiftLeft(Ints x) {
  return _mm512_slli_epi32(x, kBits);
}
template <int kBits>
inline Ints shiftPairsDown(Ints x) {
  return _mm512_srli_epi16(x, kBits);
}

inline Ints minPairs(Ints a, Ints b) { return _mm512_min_epi16(a, b); }
inline Ints maxPairs(Ints a, Ints b) { return _mm512_max_epi16(a, b); }
inline Ints upperOfPairs(Ints x) { return _mm512_srli_epi32(x, 16); }
inline void storeLower(uint8_t* to, Ints x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(x));
}
inline Ints loadTwice(const uint8_t* from) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

inline Ints minBits(Ints a, Ints b) {
  return _mm512_castps_si512(min(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
}
inline Ints maxBits(Ints a, Ints b) {
  return _mm512_castps_si512(max(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
}
inline Ints noteBits(Ints seen, Ints x) { return _mm512_max_epu32(seen, _mm512_add_epi32(x, x)); }

template <FloatType kType>
inline Floats load(const uint8_t* from) {
  if constexpr (kType == FloatType::kFloat32) {
    return _mm512_loadu_ps(from);
  } else {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    if constexpr (kType == FloatType::kFloat16) return _mm512_cvtph_ps(x);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
  }
}

template <FloatType kType>
constexpr bool kLoadsExactly = true;
template <FloatType kType, bool kExact>
inline void loadTwo(const uint8_t* from, Floats* to) {
  to[0] = load<kType>(from);
  to[1] = load<kType>(from + (kType == FloatType::kFloat32 ? 4 : 2) * kLanes);
}

inline Floats roundToHalf(Floats x) { return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }
template <FloatType kType>
inline Floats storeScales(uint8_t* to, Floats x) {
  if constexpr (kType == FloatType::kFloat32) {
    _mm512_storeu_ps(to, x);
    return x;
  } else if constexpr (kType == FloatType::kFloat16) {
    const __m256i stored = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), stored);
    return _mm512_cvtph_ps(stored);
  } else {
    const Ints bits = _mm512_castps_si512(x);
    const Ints odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const Ints rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    storeLower(to, _mm512_srli_epi32(rounded, 16));
    return load<kType>(to);
  }
}

// Each step merges two vectors of partial results: in every run of lanes, the halves of `a` are reduced into the lower
// half and those of `b` into the upper one. `blend` takes from b, `other` fetches what the blend left out.
template <Ints (*kReduce)(Ints, Ints)>
inline Ints merge(Ints a, Ints b, Mask blend, Ints other) {
  return kReduce(_mm512_mask_blend_epi32(blend, a, b), _mm512_permutex2var_epi32(a, other, b));
}
template <Ints (*kReduce)(Ints, Ints)>
inline Ints reduceEach(const Ints* parts) {
  const Ints eights = _mm512_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
  const Ints fours = _mm512_setr_epi32(4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 24, 25, 26, 27);
  const Ints twos = _mm512_setr_epi32(2, 3, 16, 17, 6, 7, 20, 21, 10, 11, 24, 25, 14, 15, 28, 29);
  const Ints ones = _mm512_setr_epi32(1, 16, 3, 18, 5, 20, 7, 22, 9, 24, 11, 26, 13, 28, 15, 30);
  Ints a[8];
  for (int i = 0; i < 8; i++) a[i] = merge<kReduce>(parts[i], parts[i + 8], 0xff00, eights);
  for (int i = 0; i < 4; i++) a[i] = merge<kReduce>(a[i], a[i + 4], 0xf0f0, fours);
  for (int i = 0; i < 2; i++) a[i] = merge<kReduce>(a[i * 2], a[i * 2 + 1], 0xaaaa, ones);
  return merge<kReduce>(a[0], a[1], 0xcccc, twos);
}

inline Ints addBits(Ints a, Ints b) { return bitsOf(add(fromBits(a), fromBits(b))); }
inline Ints sumBits(const Floats* parts) { return bitsOf(parts[0]); }
inline Floats largerMagnitude(Floats seen, Floats x) { return _mm512_range_ps(seen, x, 0x0b); }

// Four bits look their numbers up among sixteen; the code is spread to its lane by a byte shuffle and a shift.
template <int kBits>
struct Decoder {
  Floats scale, zeroPoint, table;

  Decoder(float s, float z) : scale(broadcast(s)), zeroPoint(broadcast(z)) {
    const Ints all = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    table = multiply(subtract(toFloats(all), zeroPoint), scale);
  }

  Floats at(const uint8_t* codes) const {
    if constexpr (kBits == 8) {
      const Ints code = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
      return multiply(subtract(toFloats(code), zeroPoint), scale);
    } else if constexpr (kBits == 4) {
      int64_t packed;
      __builtin_memcpy(&packed, codes, sizeof packed);
      const Ints spread = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
      const Ints shifts = _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4);
      const Ints bytes = _mm512_shuffle_epi8(_mm512_set1_epi64(packed), spread);
      return _mm512_permutexvar_ps(_mm512_srlv_epi32(bytes, shifts), table);
    } else {
      int32_t packed;
      __builtin_memcpy(&packed, codes, sizeof packed);
      const Ints shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      const Ints code = _mm512_and_si512(_mm512_srlv_epi32(broadcastInt(packed), shifts), broadcastInt(3));
      return _mm512_permutexvar_ps(code, table);
    }
  }
};

// 64 codes as bytes, in order.
inline __m512i narrow(const Ints* codes) {
  const __m512i low = _mm512_packs_epi32(codes[0], codes[1]);
  const __m512i high = _mm512_packs_epi32(codes[2], codes[3]);
  // Packing works within 128 bits, so runs of four codes come out interleaved.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}
// Bytes (a, b) of each 16-bit lane as a * 1 + b * 16, after both are limited to 15.
inline __m512i joinNibbles(__m512i bytes) {
  return _mm512_maddubs_epi16(_mm512_min_epu8(bytes, _mm512_set1_epi8(15)), _mm512_set1_epi16(0x1001));
}
inline void packBytes(const Ints* codes, uint8_t* to) { storeInts(to, narrow(codes)); }
inline void packNibbles(const Ints* codes, uint8_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi16_epi8(joinNibbles(narrow(codes))));
}

inline void packCrumbs(const Ints* codes, uint8_t* to) {
  const __m512i limited = _mm512_min_epu8(narrow(codes), _mm512_set1_epi8(3));
  const __m512i nibbles = _mm512_maddubs_epi16(limited, _mm512_set1_epi16(0x0401));
  const __m512i joined = _mm512_madd_epi16(nibbles, _mm512_set1_epi32(0x100001));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(joined));
}

inline Ints narrowInts(Ints a, Ints b) { return _mm512_packs_epi32(a, b); }
inline Ints narrowPairs(Ints a, Ints b) { return _mm512_packus_epi16(a, b); }
inline Ints minBytes(Ints a, Ints b) { return _mm512_min_epu8(a, b); }
inline Ints zipLowerBytes(Ints a, Ints b) { return _mm512_unpacklo_epi8(a, b); }
inline Ints zipUpperBytes(Ints a, Ints b) { return _mm512_unpackhi_epi8(a, b); }
inline Ints zipLowerPairs(Ints a, Ints b) { return _mm512_unpacklo_epi16(a, b); }
inline Ints zipUpperPairs(Ints a, Ints b) { return _mm512_unpackhi_epi16(a, b); }

inline Ints joinPairs(Ints even, Ints odd) { return _mm512_mask_blend_epi16(0xaaaaaaaa, even, odd); }
inline Ints shiftUp(Ints x) { return _mm512_slli_epi32(x, 16); }

inline void storeTransposed(const Ints* words, uint8_t* to, int64_t stride, int lanes) {
  __m512i pairs[16], quads[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(words[i], words[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(words[i], words[i + 1]);
  }
  // quads[q * 4 + j]: words q * 4 .. q * 4 + 3 of lanes j, j + 4, j + 8 and j + 12, 128 bits each.
  for (int q = 0; q < 16; q += 4) {
    for (int i = 0; i < 2; i++) {
      quads[q + i * 2] = _mm512_unpacklo_epi64(pairs[q + i], pairs[q + i + 2]);
      quads[q + i * 2 + 1] = _mm512_unpackhi_epi64(pairs[q + i], pairs[q + i + 2]);
    }
  }
  __m512i columns[16];
  for (int j = 0; j < 4; j++) {
    const __m512i evenLow = _mm512_shuffle_i32x4(quads[j], quads[j + 4], 0x88);
    const __m512i evenHigh = _mm512_shuffle_i32x4(quads[j + 8], quads[j + 12], 0x88);
    const __m512i oddLow = _mm512_shuffle_i32x4(quads[j], quads[j + 4], 0xdd);
    const __m512i oddHigh = _mm512_shuffle_i32x4(quads[j + 8], quads[j + 12], 0xdd);
    columns[j] = _mm512_shuffle_i32x4(evenLow, evenHigh, 0x88);
    columns[j + 4] = _mm512_shuffle_i32x4(oddLow, oddHigh, 0x88);
    columns[j + 8] = _mm512_shuffle_i32x4(evenLow, evenHigh, 0xdd);
    columns[j + 12] = _mm512_shuffle_i32x4(oddLow, oddHigh, 0xdd);
  }
  for (int lane = 0; lane < kLanes; lane++) {
    if (lane < lanes) storeInts(to + lane * stride, columns[lane]);
  }
}

}  // namespace
}  // namespace lathe
