// The arithmetic of one block, kLanes blocks at a time. Without a search it is ONNX Runtime's MlasQuantizeBlockwise on
// x86-64: every operation is one binary32 operation, rounded once, in the order written. Needs a simd-*.h before it.
#pragma once

namespace lathe {
namespace {

// The largest float below 0.5. For floats v in [0, 256) the integer part of the sum v + kBelowHalf is v rounded to
// nearest, halves up. With 0.5 itself the sum for v = kBelowHalf would round up to 1.
constexpr float kBelowHalf = 0x1.fffffep-2f;

constexpr int64_t kRegisterBytes = kLanes * 4;
constexpr int64_t kMaxBlockSize = 256;

template <FloatType kType>
constexpr int64_t kElementBytes = kType == FloatType::kFloat32 ? 4 : 2;

}  // namespace
}  // namespace lathe

#include "quantize-search.inc.h"

namespace lathe {
namespace {

// Extremes are sought in registers of elements as they lie in memory, those of 16 bits without decoding them. As signed
// integers their maximum is the largest number, or of negative numbers alone the lowest; with signs turned, the same
// for the lowest number. So an extreme may be on the wrong side of zero, and either zero; see makeCoder.
template <FloatType kType>
inline Ints turned(Ints elements) {
  return kType == FloatType::kFloat32 ? elements : addPairs(elements, broadcastPair(INT16_MIN));
}
// Of turned elements.
template <FloatType kType>
inline Ints lower(Ints a, Ints b) {
  return kType == FloatType::kFloat32 ? minBits(a, b) : maxPairs(a, b);
}
template <FloatType kType>
inline Ints upper(Ints a, Ints b) {
  return kType == FloatType::kFloat32 ? maxBits(a, b) : maxPairs(a, b);
}

// Remembers whether a NaN, an infinity or another element too large to quantize (kernels.h) has passed: by bit patterns
// for fp32, by extremes for 16-bit types, where NaN and infinity lie beyond every finite number.
template <FloatType kType>
struct Watch {
  Ints seen;

  void elements(Ints x) {
    if constexpr (kType == FloatType::kFloat32) seen = noteBits(seen, x);
  }
  void extremes(Ints low, Ints high) {
    if constexpr (kType != FloatType::kFloat32) seen = maxPairs(seen, maxPairs(low, high));
  }
  bool alarmed() const {
    if constexpr (kType == FloatType::kFloat32) {
      uint32_t patterns[kLanes];
      storeInts(patterns, seen);
      for (const uint32_t pattern : patterns) {
        if (pattern >= 0xfe000000) return true;
      }
    } else {
      int16_t patterns[kLanes * 2];
      storeInts(patterns, seen);
      for (const int16_t pattern : patterns) {
        if (pattern >= (kType == FloatType::kFloat16 ? 0x7c00 : 0x7f00)) return true;
      }
    }
    return false;
  }
};

// Index of the first element that cannot be quantized among `columns` of each of `rows` rows, in row order; -1 when none.
template <FloatType kType>
ElementIndex findNonFinite(const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns) {
  constexpr uint32_t kExponent = kType == FloatType::kFloat32   ? 0x7f800000
                                 : kType == FloatType::kFloat16 ? 0x7c00
                                                                : 0x7f80;
  constexpr uint32_t kLimit = kType == FloatType::kFloat32 ? 0x7f000000 : kType == FloatType::kFloat16 ? 0x7c00 : 0x7f00;
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t column = 0; column < columns; column++) {
      uint32_t bits = 0;
      __builtin_memcpy(&bits, src + row * rowStride + column * kElementBytes<kType>, kElementBytes<kType>);
      if ((bits & kExponent) >= kLimit) return row * columns + column;
    }
  }
  return -1;
}

// What encodes an element: see encode. One block per lane.
struct BlockCoder {
  Floats reciprocal;
  Floats offset;  // the zero point and kBelowHalf, added; its integer part is the zero point
};

// Turns the extremes of kLanes blocks into scales (stored as kType at `scales`, kLanes of them) and the coder, whose
// zero points are whole numbers. An extreme on the wrong side of zero may be any element. `firstElements` returns the
// first element of each block; it is called only where a whole block is zero: the sign of its first zero is then the
// sign of the scale, negated. `elements` and `stage`: see searchFit.
template <FloatType kType, int kBits, typename FirstElements, typename Stage>
inline BlockCoder makeCoder(const QuantizeParams& params, int64_t elements, Floats low, Floats high, uint8_t* scales,
                            FirstElements firstElements, Stage stage) {
  const Floats zero = broadcast(0.0f);
  constexpr float kMiddle = static_cast<float>(1u << (kBits - 1));
  Floats range, scale, zeroPoint;
  if (params.symmetric) {
    Floats peak = select(greater(absolute(high), absolute(low)), high, low);
    if (any(isZero(peak))) peak = select(isZero(peak), firstElements(), peak);
    // Dividing by a power of two and multiplying by its inverse are the same, subnormals included.
    range = negate(peak);
    scale = multiply(range, broadcast(1.0f / kMiddle));
    zeroPoint = broadcast(kMiddle);
  } else {
    const Floats top = broadcast(static_cast<float>((1u << kBits) - 1));
    low = min(low, zero);
    high = max(high, zero);
    range = subtract(high, low);
    scale = divide(range, top);
    // Where the scale underflowed, `low` (zero or negative) stands in and gives zero point 0.
    const Floats position = select(isZero(scale), low, subtract(zero, divide(low, scale)));
    zeroPoint = toFloats(truncate(add(min(max(position, zero), top), broadcast(kBelowHalf))));
  }
  if (params.method != QuantizeMethod::kRtn) {
    searchFit<kBits>(params, elements, range, low, stage, &scale, &zeroPoint);
  }
  const Floats stored = storeScales<kType>(scales, scale);
  return {select(isZero(stored), zero, divide(broadcast(1.0f), stored)), add(zeroPoint, broadcast(kBelowHalf))};
}

// Codes before they are packed: packing limits them to [0, top], and |x * reciprocal + zeroPoint| stays below 2^10 for
// finite x, however the scale was rounded. Only the reciprocal of a subnormal fp32 or bf16 scale may be infinite, and
// give infinity (limited here; the conversion would make it 0) or, for x = 0, NaN (which becomes code 0).
//
// The code is that of two additions, each rounded: position = x * reciprocal + zeroPoint, then position + kBelowHalf.
// With zero point 0 the first changes nothing. Otherwise `offset` is zeroPoint + 1/2, and the one sum rounds to n + 1 or
// more just where position rounds to n + 1/2 or more: floats just below both are equally far apart. For n = 0 they are
// not; but then the product is below -1/2, and too coarse for a position that is nearer to 1/2 than floats below 1 are.
template <FloatType kType>
inline Ints encode(Floats x, const BlockCoder& coder, Floats top) {
  const Floats sum = add(multiply(x, coder.reciprocal), coder.offset);
  return truncate(kType == FloatType::kFloat16 ? sum : min(top, sum));
}

// Whether loadTwo must be exact for these blocks. It need not where scales are 2^-13 or more: what is below 2^-14 is
// less than half a scale then, and has the zero point for a code whatever it is. (As has all of a block of scale 0.)
template <FloatType kType>
inline bool needsExact(const BlockCoder& coder) {
  return kLoadsExactly<kType> || any(greater(absolute(coder.reciprocal), broadcast(0x1p13f)));
}

}  // namespace
}  // namespace lathe
