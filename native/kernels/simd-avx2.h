// Eight lanes of AVX2 with F16C. What the names promise is written in simd-plain.h.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace lathe {
namespace {

constexpr int kLanes = 8;
constexpr bool kHalfLoadIsSlow = false;

typedef __m256 Floats;
typedef __m256i Ints;
typedef __m256 Mask;
typedef __m256i Suspects;

inline Floats broadcast(float x) { return _mm256_set1_ps(x); }
inline Ints broadcastInt(int32_t x) { return _mm256_set1_epi32(x); }
inline Ints zeroInts() { return _mm256_setzero_si256(); }

inline Floats loadFloats(const float* from) { return _mm256_loadu_ps(from); }
inline void storeFloats(float* to, Floats x) { _mm256_storeu_ps(to, x); }
inline void storeInts(int32_t* to, Ints x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }

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
template <int kShift>
inline Ints orShifted(Ints acc, Ints x) {
  return _mm256_or_si256(acc, _mm256_slli_epi32(x, kShift));
}

template <FloatType kType>
inline Floats load(const uint8_t* from) {
  if constexpr (kType == FloatType::kFloat32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(from));
  } else {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    if constexpr (kType == FloatType::kFloat16) {
      return _mm256_cvtph_ps(x);
    } else {
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
    }
  }
}

template <FloatType kType>
inline Floats storeScales(uint8_t* to, Floats x) {
  if constexpr (kType == FloatType::kFloat32) {
    _mm256_storeu_ps(reinterpret_cast<float*>(to), x);
    return x;
  } else if constexpr (kType == FloatType::kFloat16) {
    const __m128i stored = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), stored);
    return _mm256_cvtph_ps(stored);
  } else {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i high = _mm256_srli_epi32(rounded, 16);
    const __m128i stored = _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), stored);
    return _mm256_castsi256_ps(_mm256_slli_epi32(high, 16));
  }
}

// Suspects are the largest bit patterns seen, without their signs.
inline Suspects noSuspects() { return _mm256_setzero_si256(); }
template <FloatType kType>
inline Suspects note(Suspects suspects, const uint8_t* from) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  if constexpr (kType == FloatType::kFloat32) {
    return _mm256_max_epu32(suspects, _mm256_add_epi32(x, x));
  } else {
    return _mm256_max_epu16(suspects, _mm256_add_epi16(x, x));
  }
}
template <FloatType kType>
inline bool hasNonFinite(Suspects suspects) {
  __m256i found;
  if constexpr (kType == FloatType::kFloat32) {
    const __m256i exponent = _mm256_set1_epi32(static_cast<int32_t>(0xff000000));
    found = _mm256_cmpeq_epi32(_mm256_and_si256(suspects, exponent), exponent);
  } else {
    constexpr uint16_t kExponent = kType == FloatType::kFloat16 ? 0xf800 : 0xff00;
    const __m256i exponent = _mm256_set1_epi16(static_cast<int16_t>(kExponent));
    found = _mm256_cmpeq_epi16(_mm256_and_si256(suspects, exponent), exponent);
  }
  return _mm256_movemask_epi8(found) != 0;
}

// Merges two vectors of partial results that belong to a and b: halves of a in the lower 128 bits, of b in the upper.
template <Floats (*kReduce)(Floats, Floats)>
inline Floats mergeHalves(Floats a, Floats b) {
  return kReduce(_mm256_blend_ps(a, b, 0xf0), _mm256_permute2f128_ps(a, b, 0x21));
}
// Merges neighbouring lanes: in each 128 bits, two results of a, then two of b.
template <Floats (*kReduce)(Floats, Floats)>
inline Floats mergePairs(Floats a, Floats b) {
  return kReduce(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}
template <Floats (*kReduce)(Floats, Floats)>
inline Floats reduceEach(const Floats* parts) {
  Floats halves[4];
  for (int i = 0; i < 4; i++) halves[i] = mergeHalves<kReduce>(parts[i], parts[i + 4]);
  return mergePairs<kReduce>(mergePairs<kReduce>(halves[0], halves[1]), mergePairs<kReduce>(halves[2], halves[3]));
}

// 32 codes as bytes, in order.
inline __m256i narrow(const Ints* codes) {
  const __m256i low = _mm256_packus_epi32(codes[0], codes[1]);
  const __m256i high = _mm256_packus_epi32(codes[2], codes[3]);
  // Packing works within 128 bits, so runs of four codes come out interleaved.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
}
inline void packBytes(const Ints* codes, uint8_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(codes));
}
inline void packNibbles(const Ints* codes, uint8_t* to) {
  // Each pair of bytes (a, b) becomes the 16-bit sum a * 1 + b * 16.
  const __m256i pairs = _mm256_maddubs_epi16(narrow(codes), _mm256_set1_epi16(0x1001));
  const __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), packed);
}

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
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + lane * stride), columns[lane]);
  }
}

}  // namespace
}  // namespace lathe
