// Four lanes of whatever the processor has anyway (plain-words.h): SSE2 on x86-64, NEON on ARM, the vectors of
// WebAssembly.
// The wrappers of this directory (simd-plain.h, simd-avx2.h, simd-avx512.h) offer the same names; what a name promises
// is written here, or in plain-generic.h. Each is included once, after its translation unit has set the target.
#pragma once

#include "plain-words.h"

namespace lathe {
namespace {

inline Ints loadInts(const void* from) {
  Ints x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
inline void storeInts(void* to, Ints x) { __builtin_memcpy(to, &x, sizeof x); }
inline void storeFloats(float* to, Floats x) { __builtin_memcpy(to, &x, sizeof x); }

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

inline Ints selectInts(Mask m, Ints a, Ints b) { return (a & m) | (b & ~m); }
// The nearest integer, ties to even, of numbers between -2^22 and 2^22.
inline Ints roundNear(Floats x) {
  const Floats shift = broadcast(0x1.8p23f);
  return __builtin_convertvector((x + shift) - shift, Ints);
}

// Pairs: two 16-bit integers per lane. Sums, differences and products are those of the lower 16 bits.
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
// The upper 16 bits of each lane, moved down.
inline Ints upperOfPairs(Ints x) { return x >> 16; }
// Stores the lower 16 bits of each lane.
inline void storeLower(uint8_t* to, Ints x) {
  const Ints lower = lowerOfPairs(x);
  __builtin_memcpy(to, &lower, sizeof lower / 2);
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
    const Ints x = loadUpper(from);
    if constexpr (kType == FloatType::kBFloat16) return fromBits(x);
    // Exponent and fraction moved into place, the sign kept where it is; then the exponent's bias corrected by
    // 2^(127 - 15). Subnormals come out normalised by the same multiplication.
    return fromBits((x >> 3) & broadcastInt(static_cast<int32_t>(0x8fffffff))) * broadcast(0x1p112f);
  }
}

// Whether loadTwo<kType, false> loads every element exactly.
template <FloatType kType>
#if defined(__aarch64__)
constexpr bool kLoadsExactly = true;
#else
constexpr bool kLoadsExactly = kType != FloatType::kFloat16;
#endif
// 2 * kLanes elements as floats. Unless kExact, fp16 zeros and subnormals may become anything below 2^-14 in magnitude:
// that spares multiplying them, which for subnormals takes many processors a hundred cycles.
template <FloatType kType, bool kExact>
inline void loadTwo(const uint8_t* from, Floats* to) {
  if constexpr (!kLoadsExactly<kType> && !kExact) {
    // The sign, then the other bits three to the right, where they are exponent and fraction of a float. The exponent's
    // bias is corrected by an addition, to which subnormals have a leading one.
    const Shorts x = shortsOf(loadInts(from));
    const Ints upper = fromShorts(((x >> 3) & shortsOf(broadcastPair(-0x7001))) +
                                  shortsOf(broadcastPair((127 - 15) << 7)));
    const Ints lower = fromShorts(x << 13);
    to[0] = fromBits(zipLowerPairs(lower, upper));
    to[1] = fromBits(zipUpperPairs(lower, upper));
    return;
  }
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

inline Ints narrow(const Ints* codes) {
  return narrowPairs(narrowInts(codes[0], codes[1]), narrowInts(codes[2], codes[3]));
}

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
