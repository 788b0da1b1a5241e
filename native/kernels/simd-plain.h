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
typedef uint8_t Bytes __attribute__((vector_size(16)));
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

// Integers of half the width, those of a before those of b, limited to what it holds: signed 32 bits to signed 16, and
// signed 16 to unsigned 8. Wider registers do this, and the zips below, in each 128 bits by themselves.
#if defined(__SSE2__)
inline Ints narrowInts(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_packs_epi32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
inline Ints narrowPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_packus_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
#elif defined(__aarch64__)
inline Ints narrowInts(Ints a, Ints b) {
  return reinterpret_cast<Ints>(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)));
}
inline Ints narrowPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(
      vcombine_u8(vqmovun_s16(reinterpret_cast<int16x8_t>(a)), vqmovun_s16(reinterpret_cast<int16x8_t>(b))));
}
#else
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
#endif
inline Ints narrow(const Ints* codes) {
  return narrowPairs(narrowInts(codes[0], codes[1]), narrowInts(codes[2], codes[3]));
}

// Of unsigned bytes.
#if defined(__SSE2__)
inline Ints minBytes(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_min_epu8(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
#else
inline Ints minBytes(Ints a, Ints b) {
  const Bytes x = reinterpret_cast<Bytes>(a), y = reinterpret_cast<Bytes>(b);
  return reinterpret_cast<Ints>(x < y ? x : y);
}
#endif

// The lower or upper 64 bits of a and b interleaved, in bytes or in 16 bits.
#if defined(__SSE2__)
inline Ints zipLowerBytes(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_unpacklo_epi8(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
inline Ints zipUpperBytes(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_unpackhi_epi8(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
inline Ints zipLowerPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_unpacklo_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
inline Ints zipUpperPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm_unpackhi_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
#elif defined(__aarch64__)
inline Ints zipLowerBytes(Ints a, Ints b) {
  return reinterpret_cast<Ints>(vzip1q_u8(reinterpret_cast<uint8x16_t>(a), reinterpret_cast<uint8x16_t>(b)));
}
inline Ints zipUpperBytes(Ints a, Ints b) {
  return reinterpret_cast<Ints>(vzip2q_u8(reinterpret_cast<uint8x16_t>(a), reinterpret_cast<uint8x16_t>(b)));
}
inline Ints zipLowerPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(vzip1q_s16(reinterpret_cast<int16x8_t>(a), reinterpret_cast<int16x8_t>(b)));
}
inline Ints zipUpperPairs(Ints a, Ints b) {
  return reinterpret_cast<Ints>(vzip2q_s16(reinterpret_cast<int16x8_t>(a), reinterpret_cast<int16x8_t>(b)));
}
#else
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
#endif

// Packs 4 * kLanes codes to one byte each, in order. Codes, here and below, may lie up to 2^10 beyond [0, 2^bits - 1]
// and are limited to it; INT32_MIN counts as 0.
inline void packBytes(const Ints* codes, uint8_t* to) { storeInts(to, narrow(codes)); }

// Packs 4 * kLanes codes to two a byte, low nibble first.
inline void packNibbles(const Ints* codes, uint8_t* to) {
  const Ints limited = minBytes(narrow(codes), broadcastPair(0x0f0f));
  const Ints joined = bitAnd(limited | shiftPairsDown<4>(limited), broadcastPair(0xff));
  const Ints packed = narrowPairs(joined, joined);
  __builtin_memcpy(to, &packed, sizeof packed / 2);
}

// Packs 4 * kLanes codes to four a byte, the first one lowest.
inline void packCrumbs(const Ints* codes, uint8_t* to) {
  const Ints limited = minBytes(narrow(codes), broadcastPair(0x0303));
  const Ints nibbles = bitAnd(limited | shiftPairsDown<6>(limited), broadcastPair(15));
  const Ints joined = sumProducts(nibbles, broadcastInt(0x100001));  // 1 and 16
  const Ints packed = narrowPairs(narrowInts(joined, joined), joined);
  __builtin_memcpy(to, &packed, sizeof packed / 4);
}

// Two codes per lane: `even` in the lower 16 bits, the integer part of odd / 2^16 in the upper ones.
inline Ints joinPairs(Ints even, Ints odd) { return (even & broadcastInt(0xffff)) | (odd & broadcastInt(-0x10000)); }
inline Ints shiftUp(Ints x) { return x << 16; }

// Stores column `lane` of the kLanes x kLanes matrix `words` at to + lane * stride, for each of the first `lanes`.
inline void storeTransposed(const Ints* words, uint8_t* to, int64_t stride, int lanes) {
  for (int lane = 0; lane < lanes; lane++) {
    storeInts(to + lane * stride, Ints{words[0][lane], words[1][lane], words[2][lane], words[3][lane]});
  }
}

}  // namespace
}  // namespace lathe
