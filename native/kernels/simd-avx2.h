// Eight lanes of AVX2 with F16C. What the names promise is written in simd-plain.h.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace lathe {
namespace {

constexpr int kLanes = 8;

typedef __m256 Floats;
typedef __m256i Ints;
typedef __m256 Mask;

inline Ints bitsOf(Floats x) { return _mm256_castps_si256(x); }
inline Floats fromBits(Ints x) { return _mm256_castsi256_ps(x); }
inline Floats broadcast(float x) { return _mm256_set1_ps(x); }
inline Ints broadcastInt(int32_t x) { return _mm256_set1_epi32(x); }

inline Ints loadInts(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline void storeInts(void* to, Ints x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }
inline void storeFloats(float* to, Floats x) { _mm256_storeu_ps(to, x); }

inline Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
inline Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
inline Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
inline Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
inline Floats absolute(Floats x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
inline Floats negate(Floats x) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), x); }
inline Ints truncate(Floats x) { return _mm256_cvttps_epi32(x); }
inline Floats toFloats(Ints x) { return _mm256_cvtepi32_ps(x); }

inline Mask greater(Floats a, Floats b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
inline Mask isZero(Floats x) { return _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_EQ_OQ); }
inline bool any(Mask m) { return _mm256_movemask_ps(m) != 0; }
inline Floats select(Mask m, Floats a, Floats b) { return _mm256_blendv_ps(b, a, m); }
inline Ints bitAnd(Ints a, Ints b) { return _mm256_and_si256(a, b); }

inline Ints selectInts(Mask m, Ints a, Ints b) { return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m)); }
inline Floats squareRoot(Floats x) { return _mm256_sqrt_ps(x); }
inline Ints roundNear(Floats x) { return _mm256_cvtps_epi32(x); }

inline Ints broadcastPair(int16_t x) { return _mm256_set1_epi16(x); }
inline Ints addInts(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Ints addPairs(Ints a, Ints b) { return _mm256_add_epi16(a, b); }
inline Ints subtractPairs(Ints a, Ints b) { return _mm256_sub_epi16(a, b); }
inline Ints absolutePairs(Ints x) { return _mm256_abs_epi16(x); }
inline Ints multiplyPairs(Ints a, Ints b) { return _mm256_mullo_epi16(a, b); }
inline Ints scalePairs(Ints a, Ints b) { return _mm256_mulhrs_epi16(a, b); }
inline Ints sumProducts(Ints a, Ints b) { return _mm256_madd_epi16(a, b); }
template <int kBits>
inline Ints shiftLeft(Ints x) {
  return _mm256_slli_epi32(x, kBits);
}
template <int kBits>
inline Ints shiftPairsDown(Ints x) {
  return _mm256_srli_epi16(x, kBits);
}

inline Ints minPairs(Ints a, Ints b) { return _mm256_min_epi16(a, b); }
inline Ints maxPairs(Ints a, Ints b) { return _mm256_max_epi16(a, b); }
inline Ints upperOfPairs(Ints x) { return _mm256_srli_epi32(x, 16); }
inline void storeLower(uint8_t* to, Ints x) {
  const Ints lower = _mm256_and_si256(x, _mm256_set1_epi32(0xffff));
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(lower), _mm256_extracti128_si256(lower, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), packed);
}
inline Ints loadTwice(const uint8_t* from) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

inline Ints minBits(Ints a, Ints b) {
  return _mm256_castps_si256(min(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
}
inline Ints maxBits(Ints a, Ints b) {
  return _mm256_castps_si256(max(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
}
inline Ints noteBits(Ints seen, Ints x) { return _mm256_max_epu32(seen, _mm256_add_epi32(x, x)); }

template <FloatType kType>
inline Floats load(const uint8_t* from) {
  if constexpr (kType == FloatType::kFloat32) {
    return _mm256_castsi256_ps(loadInts(from));
  } else {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    if constexpr (kType == FloatType::kFloat16) return _mm256_cvtph_ps(x);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  }
}

template <FloatType kType>
constexpr bool kLoadsExactly = true;
template <FloatType kType, bool kExact>
inline void loadTwo(const uint8_t* from, Floats* to) {
  to[0] = load<kType>(from);
  to[1] = load<kType>(from + (kType == FloatType::kFloat32 ? 4 : 2) * kLanes);
}

inline Floats roundToHalf(Floats x) { return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }
template <FloatType kType>
inline Floats storeScales(uint8_t* to, Floats x) {
  if constexpr (kType == FloatType::kFloat32) {
    storeFloats(reinterpret_cast<float*>(to), x);
    return x;
  } else if constexpr (kType == FloatType::kFloat16) {
    const __m128i stored = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), stored);
    return _mm256_cvtph_ps(stored);
  } else {
    const Ints bits = _mm256_castps_si256(x);
    const Ints odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const Ints rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    storeLower(to, _mm256_srli_epi32(rounded, 16));
    return load<kType>(to);
  }
}

// Merges two vectors of partial results that belong to a and b: those of a in the lower 128 bits, of b in the upper.
template <Ints (*kReduce)(Ints, Ints)>
inline Ints mergeHalves(Ints a, Ints b) {
  return kReduce(_mm256_blend_epi32(a, b, 0xf0), _mm256_permute2x128_si256(a, b, 0x21));
}
// Merges neighbouring lanes: in each 128 bits, two results of a, then two of b.
template <Ints (*kReduce)(Ints, Ints)>
inline Ints mergePairs(Ints a, Ints b) {
  const Floats x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
  return kReduce(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
                 _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)));
}
template <Ints (*kReduce)(Ints, Ints)>
inline Ints reduceEach(const Ints* parts) {
  Ints halves[4];
  for (int i = 0; i < 4; i++) halves[i] = mergeHalves<kReduce>(parts[i], parts[i + 4]);
  return mergePairs<kReduce>(mergePairs<kReduce>(halves[0], halves[1]), mergePairs<kReduce>(halves[2], halves[3]));
}

inline Ints addBits(Ints a, Ints b) { return bitsOf(add(fromBits(a), fromBits(b))); }
inline Ints sumBits(const Floats* parts) { return bitsOf(add(parts[0], parts[1])); }
inline Floats largerMagnitude(Floats seen, Floats x) { return max(seen, absolute(x)); }

template <int kBits>
struct Decoder {
  Floats scale, zeroPoint;

  Decoder(float s, float z) : scale(broadcast(s)), zeroPoint(broadcast(z)) {}

  Floats at(const uint8_t* codes) const {
    Ints code;
    if constexpr (kBits == 8) {
      code = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
    } else {
      uint32_t packed = 0;
      __builtin_memcpy(&packed, codes, kBits);
      const Ints shifts = _mm256_setr_epi32(0, kBits, 2 * kBits, 3 * kBits, 4 * kBits, 5 * kBits, 6 * kBits, 7 * kBits);
      code = bitAnd(_mm256_srlv_epi32(broadcastInt(static_cast<int32_t>(packed)), shifts), broadcastInt((1 << kBits) - 1));
    }
    return multiply(subtract(toFloats(code), zeroPoint), scale);
  }
};

// 32 codes as bytes, in order.
inline __m256i narrow(const Ints* codes) {
  const __m256i low = _mm256_packs_epi32(codes[0], codes[1]);
  const __m256i high = _mm256_packs_epi32(codes[2], codes[3]);
  // Packing works within 128 bits, so runs of four codes come out interleaved.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
}
// Bytes (a, b) of each 16-bit lane as a * 1 + b * 16, after both are limited to 15.
inline __m256i joinNibbles(__m256i bytes) {
  return _mm256_maddubs_epi16(_mm256_min_epu8(bytes, _mm256_set1_epi8(15)), _mm256_set1_epi16(0x1001));
}
inline void packBytes(const Ints* codes, uint8_t* to) { storeInts(to, narrow(codes)); }
inline void packNibbles(const Ints* codes, uint8_t* to) {
  const __m256i joined = joinNibbles(narrow(codes));
  const __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(joined), _mm256_extracti128_si256(joined, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), packed);
}

inline void packCrumbs(const Ints* codes, uint8_t* to) {
  const __m256i limited = _mm256_min_epu8(narrow(codes), _mm256_set1_epi8(3));
  const __m256i nibbles = _mm256_maddubs_epi16(limited, _mm256_set1_epi16(0x0401));
  const __m256i joined = _mm256_madd_epi16(nibbles, _mm256_set1_epi32(0x100001));
  const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(joined), _mm256_extracti128_si256(joined, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(pairs, pairs));
}

inline Ints narrowInts(Ints a, Ints b) { return _mm256_packs_epi32(a, b); }
inline Ints narrowPairs(Ints a, Ints b) { return _mm256_packus_epi16(a, b); }
inline Ints minBytes(Ints a, Ints b) { return _mm256_min_epu8(a, b); }
inline Ints zipLowerBytes(Ints a, Ints b) { return _mm256_unpacklo_epi8(a, b); }
inline Ints zipUpperBytes(Ints a, Ints b) { return _mm256_unpackhi_epi8(a, b); }
inline Ints zipLowerPairs(Ints a, Ints b) { return _mm256_unpacklo_epi16(a, b); }
inline Ints zipUpperPairs(Ints a, Ints b) { return _mm256_unpackhi_epi16(a, b); }

inline Ints joinPairs(Ints even, Ints odd) { return _mm256_blend_epi16(even, odd, 0xaa); }
inline Ints shiftUp(Ints x) { return _mm256_slli_epi32(x, 16); }

inline void storeTransposed(const Ints* words, uint8_t* to, int64_t stride, int lanes) {
  __m256i pairs[8], quads[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(words[i], words[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(words[i], words[i + 1]);
  }
  // quads[q * 4 + j]: words q * 4 .. q * 4 + 3 of lane j, and of lane j + 4 in the upper half.
  for (int q = 0; q < 2; q++) {
    for (int i = 0; i < 2; i++) {
      quads[q * 4 + i * 2] = _mm256_unpacklo_epi64(pairs[q * 4 + i], pairs[q * 4 + i + 2]);
      quads[q * 4 + i * 2 + 1] = _mm256_unpackhi_epi64(pairs[q * 4 + i], pairs[q * 4 + i + 2]);
    }
  }
  __m256i columns[8];
  for (int i = 0; i < 4; i++) {
    columns[i] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x20);
    columns[i + 4] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x31);
  }
  for (int lane = 0; lane < lanes; lane++) {
    storeInts(to + lane * stride, columns[lane]);
  }
}

}  // namespace
}  // namespace lathe
