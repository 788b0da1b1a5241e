// Sixteen lanes of AVX-512 (F, BW, DQ, VL). What the names promise is written in simd-plain.h.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace lathe {
namespace {

constexpr int kLanes = 16;
constexpr bool kHalfLoadIsSlow = false;

typedef __m512 Floats;
typedef __m512i Ints;
typedef __mmask16 Mask;
typedef __m512i Suspects;

inline Floats broadcast(float x) { return _mm512_set1_ps(x); }
inline Ints broadcastInt(int32_t x) { return _mm512_set1_epi32(x); }
inline Ints zeroInts() { return _mm512_setzero_si512(); }

inline Floats loadFloats(const float* from) { return _mm512_loadu_ps(from); }
inline void storeFloats(float* to, Floats x) { _mm512_storeu_ps(to, x); }
inline void storeInts(int32_t* to, Ints x) { _mm512_storeu_si512(to, x); }

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
template <int kShift>
inline Ints orShifted(Ints acc, Ints x) {
  return _mm512_or_si512(acc, _mm512_slli_epi32(x, kShift));
}

template <FloatType kType>
inline Floats load(const uint8_t* from) {
  if constexpr (kType == FloatType::kFloat32) {
    return _mm512_loadu_ps(from);
  } else {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    if constexpr (kType == FloatType::kFloat16) {
      return _mm512_cvtph_ps(x);
    } else {
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
    }
  }
}

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
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i high = _mm512_srli_epi32(rounded, 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(high));
    return _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
  }
}

// Suspects are the largest bit patterns seen, without their signs.
inline Suspects noSuspects() { return _mm512_setzero_si512(); }
template <FloatType kType>
inline Suspects note(Suspects suspects, const uint8_t* from) {
  const __m512i x = _mm512_loadu_si512(from);
  if constexpr (kType == FloatType::kFloat32) {
    return _mm512_max_epu32(suspects, _mm512_add_epi32(x, x));
  } else {
    return _mm512_max_epu16(suspects, _mm512_add_epi16(x, x));
  }
}
template <FloatType kType>
inline bool hasNonFinite(Suspects suspects) {
  if constexpr (kType == FloatType::kFloat32) {
    return _mm512_cmpge_epu32_mask(suspects, _mm512_set1_epi32(static_cast<int32_t>(0xff000000))) != 0;
  } else {
    constexpr uint16_t kExponent = kType == FloatType::kFloat16 ? 0xf800 : 0xff00;
    return _mm512_cmpge_epu16_mask(suspects, _mm512_set1_epi16(static_cast<int16_t>(kExponent))) != 0;
  }
}

// Each step merges two vectors of partial results: in every run of lanes, the halves of `a` are reduced into the lower
// half and those of `b` into the upper one. `blend` takes from b, `other` fetches what the blend left out.
template <Floats (*kReduce)(Floats, Floats)>
inline Floats merge(Floats a, Floats b, Mask blend, Ints other) {
  return kReduce(_mm512_mask_blend_ps(blend, a, b), _mm512_permutex2var_ps(a, other, b));
}
template <Floats (*kReduce)(Floats, Floats)>
inline Floats reduceEach(const Floats* parts) {
  const Ints eights = _mm512_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
  const Ints fours = _mm512_setr_epi32(4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 24, 25, 26, 27);
  const Ints twos = _mm512_setr_epi32(2, 3, 16, 17, 6, 7, 20, 21, 10, 11, 24, 25, 14, 15, 28, 29);
  const Ints ones = _mm512_setr_epi32(1, 16, 3, 18, 5, 20, 7, 22, 9, 24, 11, 26, 13, 28, 15, 30);
  Floats a[8];
  for (int i = 0; i < 8; i++) a[i] = merge<kReduce>(parts[i], parts[i + 8], 0xff00, eights);
  for (int i = 0; i < 4; i++) a[i] = merge<kReduce>(a[i], a[i + 4], 0xf0f0, fours);
  for (int i = 0; i < 2; i++) a[i] = merge<kReduce>(a[i], a[i + 2], 0xcccc, twos);
  return merge<kReduce>(a[0], a[1], 0xaaaa, ones);
}

// 64 codes as bytes, in order.
inline __m512i narrow(const Ints* codes) {
  const __m512i low = _mm512_packus_epi32(codes[0], codes[1]);
  const __m512i high = _mm512_packus_epi32(codes[2], codes[3]);
  // Packing works within 128 bits, so runs of four codes come out interleaved.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}
inline void packBytes(const Ints* codes, uint8_t* to) { _mm512_storeu_si512(to, narrow(codes)); }
inline void packNibbles(const Ints* codes, uint8_t* to) {
  // Each pair of bytes (a, b) becomes the 16-bit sum a * 1 + b * 16.
  const __m512i pairs = _mm512_maddubs_epi16(narrow(codes), _mm512_set1_epi16(0x1001));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi16_epi8(pairs));
}

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
  for (int lane = 0; lane < lanes; lane++) _mm512_storeu_si512(to + lane * stride, columns[lane]);
}

}  // namespace
}  // namespace lathe
