// Casts between fp32, fp16 and bf16. Included once per instruction set, after the wrapper: the loops have no branches,
// and the compiler makes vectors of them.
#pragma once

namespace lathe {
namespace {

inline uint32_t floatBits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

constexpr uint32_t kMagnitude = 0x7fffffff;
constexpr uint32_t kInfinity = 0x7f800000;

// Where a target's range ends, as magnitudes of binary32: from `overflow` on elements round to infinity, up to `zero`
// to zero, below `normal` to subnormal numbers. `largest` is the pattern of its largest number.
template <FloatType Type>
struct Ends;
template <>
struct Ends<FloatType::kFloat32> {
  static constexpr uint32_t overflow = kInfinity, zero = 0, normal = 0;
};
template <>
struct Ends<FloatType::kFloat16> {
  static constexpr uint32_t overflow = 0x477ff000, zero = 0x33000000, normal = 0x387fe000;
  static constexpr uint32_t largest = 0x7bff, quiet = 0x7e00;
};
template <>
struct Ends<FloatType::kBFloat16> {
  static constexpr uint32_t overflow = 0x7f7f8000, zero = 0x00008000, normal = 0x007f8000;
  static constexpr uint32_t largest = 0x7f7f, quiet = 0x7fc0;
};

// Bits of element `index` as binary32; of a NaN those of any NaN.
template <FloatType From>
inline uint32_t loadBits(const uint8_t* src, int64_t index) {
  if constexpr (From == FloatType::kFloat32) {
    uint32_t bits;
    __builtin_memcpy(&bits, src + index * 4, sizeof bits);
    return bits;
  } else {
    uint16_t stored;
    __builtin_memcpy(&stored, src + index * 2, sizeof stored);
    const uint32_t pattern = stored;
    if constexpr (From == FloatType::kBFloat16) return pattern << 16;
    const uint32_t shifted = (pattern & 0x7fff) << 13;
    // 2^-14 plus a subnormal number is exact; taking the 2^-14 away normalizes it.
    const uint32_t subnormal = floatBits(floatOf(shifted + 0x38800000) - floatOf(0x38800000));
    const uint32_t rebiased = shifted + (shifted >= 0x0f800000 ? 0x70000000u : 0x38000000u);
    return (shifted < 0x00800000 ? subnormal : rebiased) | (pattern & 0x8000) << 16;
  }
}

template <FloatType To>
inline uint32_t roundBits(uint32_t bits, bool saturate) {
  const uint32_t magnitude = bits & kMagnitude;
  const uint32_t sign = (bits >> 16) & 0x8000;
  uint32_t rounded;
  if constexpr (To == FloatType::kBFloat16) {
    rounded = (magnitude + 0x7fff + ((magnitude >> 16) & 1)) >> 16;
  } else {
    const uint32_t normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    // Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded by the addition. What is larger
    // takes the other way, and may be anything here but a trap.
    const uint32_t small = magnitude < 0x38800000 ? magnitude : 0;
    const uint32_t subnormal = floatBits(floatOf(small) + 0.5f) - 0x3f000000;
    rounded = magnitude < 0x38800000 ? subnormal : normal;
  }
  const uint32_t beyond = saturate ? Ends<To>::largest : (To == FloatType::kFloat16 ? 0x7c00u : 0x7f80u);
  rounded = magnitude >= Ends<To>::overflow ? beyond : rounded;
  if constexpr (To == FloatType::kFloat16) {
    rounded = magnitude == kInfinity ? 0x7c00u : rounded;
  } else {
    rounded = magnitude == kInfinity ? 0x7f80u : rounded;
  }
  return magnitude > kInfinity ? Ends<To>::quiet : sign | rounded;
}

template <FloatType From, FloatType To>
void castRun(const uint8_t* src, int64_t count, bool saturate, uint8_t* out) {
  for (int64_t i = 0; i < count; i++) {
    const uint32_t bits = loadBits<From>(src, i);
    if constexpr (To == FloatType::kFloat32) {
      const uint32_t made = (bits & kMagnitude) > kInfinity ? 0x7fc00000 : bits;
      __builtin_memcpy(out + i * 4, &made, sizeof made);
    } else {
      const uint16_t made = static_cast<uint16_t>(roundBits<To>(bits, saturate));
      __builtin_memcpy(out + i * 2, &made, sizeof made);
    }
  }
}

template <FloatType From, FloatType To>
void measureRun(const uint8_t* src, int64_t count, CastLoss* loss) {
  // Counters as wide as the elements: they cannot overflow within a piece.
  constexpr int64_t kPiece = int64_t{1} << 20;
  for (int64_t start = 0; start < count; start += kPiece) {
    const int64_t end = count - start < kPiece ? count : start + kPiece;
    uint32_t overflowed = 0, zeroed = 0, subnormal = 0, peak = loss->peak;
    for (int64_t i = start; i < end; i++) {
      const uint32_t bits = loadBits<From>(src, i) & kMagnitude;
      const uint32_t magnitude = bits < kInfinity ? bits : 0;
      overflowed += magnitude >= Ends<To>::overflow;
      zeroed += (magnitude != 0) & (magnitude <= Ends<To>::zero);
      subnormal += (magnitude > Ends<To>::zero) & (magnitude < Ends<To>::normal);
      peak = magnitude > peak ? magnitude : peak;
    }
    loss->overflowed += overflowed;
    loss->zeroed += zeroed;
    loss->subnormal += subnormal;
    loss->peak = peak;
  }
}

template <FloatType From>
void castFrom(const CastParams& params, const uint8_t* src, int64_t count, uint8_t* out) {
  switch (params.to) {
    case FloatType::kFloat32:
      return castRun<From, FloatType::kFloat32>(src, count, params.saturate, out);
    case FloatType::kFloat16:
      return castRun<From, FloatType::kFloat16>(src, count, params.saturate, out);
    case FloatType::kBFloat16:
      return castRun<From, FloatType::kBFloat16>(src, count, params.saturate, out);
  }
}

template <FloatType From>
void measureFrom(const CastParams& params, const uint8_t* src, int64_t count, CastLoss* loss) {
  switch (params.to) {
    case FloatType::kFloat32:
      return measureRun<From, FloatType::kFloat32>(src, count, loss);
    case FloatType::kFloat16:
      return measureRun<From, FloatType::kFloat16>(src, count, loss);
    case FloatType::kBFloat16:
      return measureRun<From, FloatType::kBFloat16>(src, count, loss);
  }
}

void castFloats(const CastParams& params, const uint8_t* src, int64_t count, uint8_t* out) {
  switch (params.from) {
    case FloatType::kFloat32:
      return castFrom<FloatType::kFloat32>(params, src, count, out);
    case FloatType::kFloat16:
      return castFrom<FloatType::kFloat16>(params, src, count, out);
    case FloatType::kBFloat16:
      return castFrom<FloatType::kBFloat16>(params, src, count, out);
  }
}

void measureCast(const CastParams& params, const uint8_t* src, int64_t count, CastLoss* loss) {
  switch (params.from) {
    case FloatType::kFloat32:
      return measureFrom<FloatType::kFloat32>(params, src, count, loss);
    case FloatType::kFloat16:
      return measureFrom<FloatType::kFloat16>(params, src, count, loss);
    case FloatType::kBFloat16:
      return measureFrom<FloatType::kBFloat16>(params, src, count, loss);
  }
}

}  // namespace
}  // namespace lathe
