// The arithmetic of one block, kLanes blocks at a time. It is ONNX Runtime's MlasQuantizeBlockwise on x86-64: every
// operation is one binary32 operation, rounded once, in the order written. Needs a simd-*.h before it.
#pragma once

namespace lathe {
namespace {

// The largest float below 0.5. For floats v in [0, 256) the integer part of v + kBelowHalf is v rounded to nearest,
// halves up: a sum with 0.5 itself would round 0.49999997f and odd integers above 2^23 up.
constexpr float kBelowHalf = 0x1.fffffep-2f;

template <FloatType kType>
constexpr int64_t kElementBytes = kType == FloatType::kFloat32 ? 4 : 2;

// What encodes a code: code = round(x * reciprocal + zeroPoint), clamped. One block per lane.
struct BlockCoder {
  Floats reciprocal;
  Floats zeroPoint;
};

// Rounds lanes, clamped to [0, top], to the nearest integer, halves up. NaN becomes 0.
inline Ints roundClamped(Floats x, Floats top) {
  const Floats clamped = min(max(x, broadcast(0.0f)), top);
  return truncate(add(clamped, broadcast(kBelowHalf)));
}

inline Ints encode(Floats x, Floats reciprocal, Floats zeroPoint, Floats top) {
  return roundClamped(add(multiply(x, reciprocal), zeroPoint), top);
}

// Turns the extremes of kLanes blocks into scales (stored as kType at `scales`, kLanes of them), zero-point codes (at
// `zeroPoints` when asymmetric) and the coder. `firstElements` fills an array with the first element of each block; it
// is called only where a whole block is zero: the sign of the first zero is then the sign of the scale, negated.
template <FloatType kType, typename FirstElements>
inline BlockCoder makeCoder(bool symmetric, uint32_t bits, Floats low, Floats high, uint8_t* scales,
                            int32_t* zeroPoints, FirstElements firstElements) {
  const Floats zero = broadcast(0.0f);
  const Floats one = broadcast(1.0f);
  const float middle = static_cast<float>(1u << (bits - 1));
  const Floats top = broadcast(static_cast<float>((1u << bits) - 1));
  Floats scale, zeroPoint;
  if (symmetric) {
    Floats peak = select(greater(absolute(high), absolute(low)), high, low);
    if (any(isZero(peak))) {
      alignas(64) float first[kLanes];
      firstElements(first);
      peak = select(isZero(peak), loadFloats(first), peak);
    }
    // Dividing by a power of two and multiplying by its inverse are the same, subnormals included.
    scale = multiply(negate(peak), broadcast(1.0f / middle));
    zeroPoint = broadcast(middle);
  } else {
    low = min(low, zero);
    high = max(high, zero);
    scale = divide(subtract(high, low), top);
    // A scale that underflowed has zero point 0: `low` is then zero or negative.
    const Floats position = select(isZero(scale), low, subtract(zero, divide(low, scale)));
    const Ints codes = roundClamped(position, top);
    storeInts(zeroPoints, codes);
    zeroPoint = toFloats(codes);
  }
  const Floats stored = storeScales<kType>(scales, scale);
  return {select(isZero(stored), zero, divide(one, stored)), zeroPoint};
}

// Index of the first NaN or infinity among `columns` elements of each of `rows` rows, in row order; -1 when none.
template <FloatType kType>
ElementIndex findNonFinite(const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t column = 0; column < columns; column++) {
      const uint8_t* from = src + row * rowStride + column * kElementBytes<kType>;
      uint32_t bits = 0;
      __builtin_memcpy(&bits, from, kElementBytes<kType>);
      const uint32_t exponent = kType == FloatType::kFloat32   ? 0x7f800000
                                : kType == FloatType::kFloat16 ? 0x7c00
                                                               : 0x7f80;
      if ((bits & exponent) == exponent) return row * columns + column;
    }
  }
  return -1;
}

}  // namespace
}  // namespace lathe
