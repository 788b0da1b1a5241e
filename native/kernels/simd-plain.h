// Four lanes of GCC/Clang vector extensions: SSE2 on x86-64, NEON on ARM, both with intrinsics where the extensions have no
// word for what the processor does; elsewhere whatever the compiler makes of it.
// The wrappers of this directory (simd-plain.h, simd-avx2.h, simd-avx512.h) offer the same names; what a name promises
// is written here. Each is included once, after its translation unit has set the target.
#pragma once

#include "kernels.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace lathe {
namespace {

constexpr int kLanes = 4;

// Ints also carry raw bytes: kLanes * 4 bytes of elements as they lie in memory.
typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));
typedef Ints Mask;  // all ones or all zeros per lane

inline Ints bitsOf(Floats x) { return reinterpret_cast<Ints>(x); }
inline Floats fromBits(Ints x) { return reinterpret_cast<Floats>(x); }
inline Floats broadcast(float x) { return Floats{x, x, x, x}; }
inline Ints broadcastInt(int32_t x) { return Ints{x, x, x, x}; }

inline Ints loadInts(const void* from) {
  Ints x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
inline void storeInts(void* to, Ints x) { __builtin_memcpy(to, &x, sizeof x); }
inline void storeFloats(float* to, Floats x) { __builtin_memcpy(to, &x, sizeof x); }

// `a < b ? a : b` and `a > b ? a : b`: b where the operands are equal or one is NaN.
#if defined(__SSE2__)
inline Floats min(Floats a, Floats b) { return _mm_min_ps(a, b); }
inline Floats max(Floats a, Floats b) { return _mm_max_ps(a, b); }
#else
inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
#endif

inline Floats add(Floats a, Floats b) { return a + b; }
inline Floats subtract(Floats a, Floats b) { return a - b; }
inline Floats multiply(Floats a, Floats b) { return a * b; }
inline Floats divide(Floats a, Floats b) { return a / b; }
inline Floats absolute(Floats x) { return fromBits(bitsOf(x) & broadcastInt(0x7fffffff)); }
inline Floats negate(Floats x) { return fromBits(bitsOf(x) ^ broadcastInt(INT32_MIN)); }
inline Floats toFloats(Ints x) { return __builtin_convertvector(x, Floats); }

// The integer part of numbers between -2^31 and 2^31; a code that packs as 0 for NaN and -infinity.
#if defined(__SSE2__)
inline Ints truncate(Floats x) { return reinterpret_cast<Ints>(_mm_cvttps_epi32(x)); }
#elif defined(__aarch64__)
inline Ints truncate(Floats x) { return reinterpret_cast<Ints>(vcvtq_s32_f32(x)); }
#else
inline Ints truncate(Floats x) {
  return __builtin_convertvector(min(max(x, broadcast(-0x1p30f)), broadcast(0x1p30f)), Ints);
}
#endif

inline Mask greater(Floats a, Floats b) { return a > b; }
inline Mask isZero(Floats x) { return x == broadcast(0.0f); }
#if defined(__SSE2__)
inline bool any(Mask m) { return _mm_movemask_ps(fromBits(m)) != 0; }
#else
inline bool any(Mask m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
#endif
// Per lane, `a` where the mask is set, else `b`.
inline Floats select(Mask m, Floats a, Floats b) { return fromBits((bitsOf(a) & m) | (bitsOf(b) & ~m)); }
inline Ints bitAnd(Ints a, Ints b) { return a & b; }

inline Ints selectInts(Mask m, Ints a, Ints b) { return (a & m) | (b & ~m); }
#if defined(__SSE2__)
inline Floats squareRoot(Floats x) { return _mm_sqrt_ps(x); }
#elif defined(__aarch64__)
inline Floats squareRoot(Floats x) { return vsqrtq_f32(x); }
#else
inline Floats squareRoot(Floats x) {
  for (int lane = 0; lane < kLanes; lane++) x[lane] = __builtin_sqrtf(x[lane]);
  return x;
}
#endif
// The nearest integer, ties to even, of numbers between -2^22 and 2^22.
inline Ints roundNear(Floats x) {
  const Floats shift = broadcast(0x1.8p23f);
  return __builtin_convertvector((x + shift) - shift, Ints);
}

// Pairs: two 16-bit integers per lane. Sums, differences and products are those of the lower 16 bits.
typedef int16_t Shorts __attribute__((vector_size(16)));
inline Shorts shortsOf(Ints x) { return reinterpret_cast<Shorts>(x); }
inline Ints fromShorts(Shorts x) { return reinterpret_cast<Ints>(x); }
inline Ints broadcastPair(int16_t x) { return fromShorts(Shorts{x, x, x, x, x, x, x, x}); }
inline Ints addInts(Ints a, Ints b) { return a + b; }
inline Ints addPairs(Ints a, Ints b) { return fromShorts(shortsOf(a) + shortsOf(b)); }
inline Ints subtractPairs(Ints a, Ints b) { return fromShorts(shortsOf(a) - shortsOf(b)); }
inline Ints multiplyPairs(Ints a, Ints b) { return fromShorts(shortsOf(a) * shortsOf(b)); }
// Of numbers down to -32767.
inline Ints absolutePairs(Ints x) {
  const Shorts sign = shortsOf(x) >> 15;
  return fromShorts((shortsOf(x) ^ sign) - sign);
}
template <int kBits>
inline Ints shiftLeft(Ints x) {
  return x << kBits;
}
template <int kBits>
inline Ints shiftPairsDown(Ints x) {
  typedef uint16_t Unsigned __attribute__((vector_size(16)));
  return reinterpret_cast<Ints>(reinterpret_cast<Unsigned>(x) >> kBits);
}
// (a * b + 2^14) >> 15, for products below 2^30.
#if defined(__aarch64__)
inline Ints scalePairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(vqrdmulhq_s16(reinterpret_cast<int16x8_t>(a), reinterpret_cast<int16x8_t>(b)));
}
#else
inline Ints scalePairs(Ints a, Ints b) {
  const Ints low = ((a << 16 >> 16) * (b << 16 >> 16) + 0x4000) >> 15;
  const Ints high = ((a >> 16) * (b >> 16) + 0x4000) >> 15;
  return (low & broadcastInt(0xffff)) | (high << 16);
}
#endif
// Per lane, the sum of both products, in 32 bits.
#if defined(__SSE2__)
inline Ints sumProducts(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
#elif defined(__aarch64__)
inline Ints sumProducts(Ints a, Ints b) {
  const int16x8_t x = reinterpret_cast<int16x8_t>(a), y = reinterpret_cast<int16x8_t>(b);
  return reinterpret_cast<Ints>(
      vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}
#else
inline Ints sumProducts(Ints a, Ints b) { return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16); }
#endif

#if defined(__SSE2__)
inline Ints minPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_min_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
inline Ints maxPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_max_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
#else
inline Ints minPairs(Ints a, Ints b) {
  const Shorts x = reinterpret_cast<Shorts>(a), y = reinterpret_cast<Shorts>(b);
  return reinterpret_cast<Ints>(x < y ? x : y);
}
inline Ints maxPairs(Ints a, Ints b) {
  const Shorts x = reinterpret_cast<Shorts>(a), y = reinterpret_cast<Shorts>(b);
  return reinterpret_cast<Ints>(x > y ? x : y);
}
#endif
// The upper 16 bits of each lane, moved down.
inline Ints upperOfPairs(Ints x) { return x >> 16; }
// Stores the lower 16 bits of each lane.
inline void storeLower(uint8_t* to, Ints x) {
#if defined(__SSE2__)
  const __m128i lower = reinterpret_cast<__m128i>(x << 16 >> 16);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi32(lower, lower));
#else
  typedef int16_t Lower __attribute__((vector_size(8)));
  const Lower lower = __builtin_convertvector(x, Lower);
  __builtin_memcpy(to, &lower, sizeof lower);
#endif
}
// The half register at `from`, in both halves.
inline Ints loadTwice(const uint8_t* from) {
  int64_t half;
  __builtin_memcpy(&half, from, sizeof half);
  typedef int64_t Longs __attribute__((vector_size(16)));
  return reinterpret_cast<Ints>(Longs{half, half});
}

inline Ints minBits(Ints a, Ints b) { return bitsOf(min(fromBits(a), fromBits(b))); }
inline Ints maxBits(Ints a, Ints b) { return bitsOf(max(fromBits(a), fromBits(b))); }
// Adds fp32 bit patterns to `seen`, of which a lane is 0xfe000000 or more (unsigned) after a NaN, an infinity or another
// number of magnitude 2^127 or more.
inline Ints noteBits(Ints seen, Ints x) {
  return seen | ((x & broadcastInt(0x7f800000)) >= broadcastInt(0x7f000000));
}

// kLanes elements as floats; exact for finite values, NaN and infinity may become anything.
template <FloatType kType>
inline Floats load(const uint8_t* from) {
  if constexpr (kType == FloatType::kFloat32) {
    return fromBits(loadInts(from));
  } else {
#if defined(__aarch64__)
    if constexpr (kType == FloatType::kFloat16) {
      uint16x4_t halves;
      __builtin_memcpy(&halves, from, sizeof halves);
      return vcvt_f32_f16(vreinterpret_f16_u16(halves));
    }
#endif
#if defined(__SSE2__)
    const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    const Ints x = reinterpret_cast<Ints>(_mm_unpacklo_epi16(_mm_setzero_si128(), packed));
#else
    typedef uint16_t Halves __attribute__((vector_size(8)));
    Halves halves;
    __builtin_memcpy(&halves, from, sizeof halves);
    const Ints x = __builtin_convertvector(halves, Ints) << 16;
#endif
    if constexpr (kType == FloatType::kBFloat16) return fromBits(x);
    // Exponent and fraction moved into place, the sign kept where it is; then the exponent's bias corrected by
    // 2^(127 - 15). Subnormals come out normalised by the same multiplication.
    return fromBits((x >> 3) & broadcastInt(static_cast<int32_t>(0x8fffffff))) * broadcast(0x1p112f);
  }
}

// Whether loadTwo<kType, false> loads every element exactly.
#if defined(__SSE2__)
template <FloatType kType>
constexpr bool kLoadsExactly = kType != FloatType::kFloat16;
#else
template <FloatType kType>
constexpr bool kLoadsExactly = true;
#endif
// 2 * kLanes elements as floats. Unless kExact, fp16 zeros and subnormals may become anything below 2^-14 in magnitude:
// that spares multiplying them, which for subnormals takes many processors a hundred cycles.
template <FloatType kType, bool kExact>
inline void loadTwo(const uint8_t* from, Floats* to) {
#if defined(__SSE2__)
  if constexpr (kType == FloatType::kFloat16 && !kExact) {
    // The sign, then the other bits three to the right, where they are exponent and fraction of a float. The exponent's
    // bias is corrected by an addition, to which subnormals have a leading one.
    const Shorts x = shortsOf(loadInts(from));
    const __m128i upper = reinterpret_cast<__m128i>(((x >> 3) & shortsOf(broadcastPair(-0x7001))) +
                                                    shortsOf(broadcastPair((127 - 15) << 7)));
    const __m128i lower = reinterpret_cast<__m128i>(x << 13);
    to[0] = reinterpret_cast<Floats>(_mm_unpacklo_epi16(lower, upper));
    to[1] = reinterpret_cast<Floats>(_mm_unpackhi_epi16(lower, upper));
    return;
  }
#endif
  to[0] = load<kType>(from);
  to[1] = load<kType>(from + (kType == FloatType::kFloat32 ? 4 : 2) * kLanes);
}

// fp16 values, rounded to nearest even. Below 2^-14 and above 65504 they keep 11 bits, and so may be none.
inline Floats roundToHalf(Floats x) {
  const Ints bits = bitsOf(x);
  return fromBits((bits + broadcastInt(0xfff) + ((bits >> 13) & broadcastInt(1))) & broadcastInt(-0x2000));
}

// Stores kLanes floats as kType, rounded to nearest even, and returns the stored values.
template <FloatType kType>
inline Floats storeScales(uint8_t* to, Floats x) {
  if constexpr (kType == FloatType::kFloat32) {
    storeFloats(reinterpret_cast<float*>(to), x);
    return x;
  }
#if defined(__aarch64__)
  if constexpr (kType == FloatType::kFloat16) {
    const float16x4_t halves = vcvt_f16_f32(x);
    __builtin_memcpy(to, &halves, sizeof halves);
    return vcvt_f32_f16(halves);
  }
#endif
  const Ints bits = bitsOf(x);
  const Ints one = broadcastInt(1);
  if constexpr (kType == FloatType::kBFloat16) {
    storeLower(to, (bits + broadcastInt(0x7fff) + ((bits >> 16) & one)) >> 16);
  } else {
    const Ints magnitude = bits & broadcastInt(0x7fffffff);
    const Ints normal = (magnitude + broadcastInt(0xfff - 0x38000000) + ((magnitude >> 13) & one)) >> 13;
    // Adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded to nearest even by the addition.
    const Ints subnormal = bitsOf(fromBits(magnitude) + broadcast(0.5f)) - broadcastInt(0x3f000000);
    const Ints finite = selectInts(magnitude >= broadcastInt(0x38800000), normal, subnormal);  // from 2^-14
    const Ints half = selectInts(magnitude >= broadcastInt(0x477ff000), broadcastInt(0x7c00), finite);  // from 65520
    storeLower(to, half | ((bits >> 16) & broadcastInt(0x8000)));
  }
  return load<kType>(to);
}

#if defined(__SSE2__)
inline Ints evens(Ints a, Ints b) { return bitsOf(_mm_shuffle_ps(fromBits(a), fromBits(b), 0x88)); }
inline Ints odds(Ints a, Ints b) { return bitsOf(_mm_shuffle_ps(fromBits(a), fromBits(b), 0xdd)); }
#elif defined(__aarch64__)
inline Ints evens(Ints a, Ints b) { return reinterpret_cast<Ints>(vuzp1q_s32(a, b)); }
inline Ints odds(Ints a, Ints b) { return reinterpret_cast<Ints>(vuzp2q_s32(a, b)); }
#else
inline Ints evens(Ints a, Ints b) { return Ints{a[0], a[2], b[0], b[2]}; }
inline Ints odds(Ints a, Ints b) { return Ints{a[1], a[3], b[1], b[3]}; }
#endif
// Lane i of the result is the reduction of all lanes of parts[i]: of those eight apart, four apart, and then of
// neighbours and pairs of them.
template <Ints (*kReduce)(Ints, Ints)>
inline Ints reduceEach(const Ints* parts) {
  const Ints a = kReduce(evens(parts[0], parts[1]), odds(parts[0], parts[1]));
  const Ints b = kReduce(evens(parts[2], parts[3]), odds(parts[2], parts[3]));
  return kReduce(evens(a, b), odds(a, b));
}

// For reduceEach: the sum of floats.
inline Ints addBits(Ints a, Ints b) { return bitsOf(add(fromBits(a), fromBits(b))); }
// Sixteen lanes as so many as there are, those eight apart summed first, then those four apart. reduceEach goes on with
// neighbours, so that every width of vectors sums in the same order.
inline Ints sumBits(const Floats* parts) { return bitsOf(add(add(parts[0], parts[2]), add(parts[1], parts[3]))); }
inline Floats largerMagnitude(Floats seen, Floats x) { return max(seen, absolute(x)); }

// The numbers that the codes of a block stand for: `at` gives those of kLanes codes from `codes` on, which begin a byte.
template <int kBits>
struct Decoder {
  Floats scale, zeroPoint;

  Decoder(float s, float z) : scale(broadcast(s)), zeroPoint(broadcast(z)) {}

  Floats at(const uint8_t* codes) const {
    uint32_t packed = 0;
    __builtin_memcpy(&packed, codes, kLanes * kBits / 8);
    constexpr uint32_t kTop = (1u << kBits) - 1;
    const auto code = [packed](int lane) { return static_cast<int32_t>(packed >> (lane * kBits) & kTop); };
    return multiply(subtract(toFloats(Ints{code(0), code(1), code(2), code(3)}), zeroPoint), scale);
  }
};

#if defined(__SSE2__)
inline __m128i narrow(const Ints* codes) {
  const __m128i low = _mm_packs_epi32(reinterpret_cast<__m128i>(codes[0]), reinterpret_cast<__m128i>(codes[1]));
  const __m128i high = _mm_packs_epi32(reinterpret_cast<__m128i>(codes[2]), reinterpret_cast<__m128i>(codes[3]));
  return _mm_packus_epi16(low, high);
}
// Bytes (a, b) of each 16-bit lane as a | b << 4, after both are limited to 15.
inline __m128i joinNibbles(__m128i bytes) {
  const __m128i limited = _mm_min_epu8(bytes, _mm_set1_epi8(15));
  return _mm_and_si128(_mm_or_si128(limited, _mm_srli_epi16(limited, 4)), _mm_set1_epi16(0xff));
}
#elif defined(__aarch64__)
// The lower 16 bits of each lane of two registers as bytes, limited to [0, 255].
inline uint8x16_t narrowPairs(Ints a, Ints b) {
  return vcombine_u8(vqmovun_s16(reinterpret_cast<int16x8_t>(a)), vqmovun_s16(reinterpret_cast<int16x8_t>(b)));
}
inline uint8x16_t narrow(const Ints* codes) {
  const int16x8_t low = vcombine_s16(vqmovn_s32(codes[0]), vqmovn_s32(codes[1]));
  const int16x8_t high = vcombine_s16(vqmovn_s32(codes[2]), vqmovn_s32(codes[3]));
  return vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
}
// Bytes (a, b) of each 16-bit lane as a | b << 4 in one byte, after both are limited to 15.
inline uint8x8_t joinNibbles(uint8x16_t bytes) {
  const uint16x8_t limited = vreinterpretq_u16_u8(vminq_u8(bytes, vdupq_n_u8(15)));
  return vmovn_u16(vorrq_u16(limited, vshrq_n_u16(limited, 4)));
}
// The first and the second half of a register, interleaved by bytes.
inline uint8x16_t zipHalves(uint8x16_t x) { return vzip1q_u8(x, vextq_u8(x, x, 8)); }
#else
inline uint32_t limit(int32_t code, int32_t top) { return code < 0 ? 0u : static_cast<uint32_t>(code < top ? code : top); }
#endif

// Packs 4 * kLanes codes to one byte each, in order. Codes, here and below, may lie up to 2^10 beyond [0, 2^bits - 1]
// and are limited to it; INT32_MIN counts as 0.
inline void packBytes(const Ints* codes, uint8_t* to) {
#if defined(__SSE2__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), narrow(codes));
#elif defined(__aarch64__)
  vst1q_u8(to, narrow(codes));
#else
  for (int i = 0; i < 16; i++) to[i] = static_cast<uint8_t>(limit(codes[i / 4][i % 4], 255));
#endif
}

// Packs 4 * kLanes codes to two a byte, low nibble first.
inline void packNibbles(const Ints* codes, uint8_t* to) {
#if defined(__SSE2__)
  const __m128i joined = joinNibbles(narrow(codes));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(joined, joined));
#elif defined(__aarch64__)
  vst1_u8(to, joinNibbles(narrow(codes)));
#else
  for (int i = 0; i < 8; i++) {
    const Ints pair = codes[i / 2];
    to[i] = static_cast<uint8_t>(limit(pair[i % 2 * 2], 15) | limit(pair[i % 2 * 2 + 1], 15) << 4);
  }
#endif
}

// Two codes per lane: `even` in the lower 16 bits, the integer part of odd / 2^16 in the upper ones.
inline Ints joinPairs(Ints even, Ints odd) { return (even & broadcastInt(0xffff)) | (odd & broadcastInt(-0x10000)); }
inline Ints shiftUp(Ints x) { return x << 16; }

// Packs the codes of 2 pairs (8 bits) or 4 pairs (4 bits) per lane into one 32-bit word, the first one lowest.
template <int kBits>
inline Ints packWord(const Ints* pairs) {
#if defined(__SSE2__)
  __m128i packed = _mm_packus_epi16(reinterpret_cast<__m128i>(pairs[0]), reinterpret_cast<__m128i>(pairs[1]));
  if constexpr (kBits == 8) return reinterpret_cast<Ints>(_mm_unpacklo_epi16(packed, _mm_srli_si128(packed, 8)));
  const __m128i later = _mm_packus_epi16(reinterpret_cast<__m128i>(pairs[2]), reinterpret_cast<__m128i>(pairs[3]));
  // Four bytes of lanes 0..3 for each of four pairs of codes: a 4 x 4 transposition in two interleavings.
  packed = _mm_packus_epi16(joinNibbles(packed), joinNibbles(later));
  packed = _mm_unpacklo_epi8(packed, _mm_srli_si128(packed, 8));
  return reinterpret_cast<Ints>(_mm_unpacklo_epi8(packed, _mm_srli_si128(packed, 8)));
#elif defined(__aarch64__)
  const uint8x16_t first = narrowPairs(pairs[0], pairs[1]);
  if constexpr (kBits == 8) {
    const uint16x8_t halves = vreinterpretq_u16_u8(first);
    return reinterpret_cast<Ints>(vzip1q_u16(halves, vextq_u16(halves, halves, 4)));
  }
  const uint8x16_t later = narrowPairs(pairs[2], pairs[3]);
  // Four bytes of lanes 0..3 for each of four pairs of codes: a 4 x 4 transposition in two interleavings.
  return reinterpret_cast<Ints>(zipHalves(zipHalves(vcombine_u8(joinNibbles(first), joinNibbles(later)))));
#else
  Ints word = {};
  for (int i = 0; i < 32 / kBits; i++) {
    const Ints codes = i % 2 == 0 ? pairs[i / 2] << 16 >> 16 : pairs[i / 2] >> 16;
    for (int lane = 0; lane < kLanes; lane++) {
      word[lane] |= static_cast<int32_t>(limit(codes[lane], (1 << kBits) - 1) << (i * kBits));
    }
  }
  return word;
#endif
}

// Stores column `lane` of the kLanes x kLanes matrix `words` at to + lane * stride, for each of the first `lanes`.
inline void storeTransposed(const Ints* words, uint8_t* to, int64_t stride, int lanes) {
  for (int lane = 0; lane < lanes; lane++) {
    storeInts(to + lane * stride, Ints{words[0][lane], words[1][lane], words[2][lane], words[3][lane]});
  }
}

}  // namespace
}  // namespace lathe
