// Casts between fp32, fp16 and bf16, kLanes elements at a time, without branches. Needs a simd-*.h before it.
#pragma once

namespace lathe {
namespace {

// Elements as the bits of binary32 numbers, and as they are stored in 16 bits. Comparisons are of magnitudes, which
// are positive as signed integers too; masks are all ones or zero.
typedef uint32_t Lanes __attribute__((vector_size(kLanes * 4)));
typedef int32_t SignedLanes __attribute__((vector_size(kLanes * 4)));
typedef float FloatLanes __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalfLanes __attribute__((vector_size(kLanes * 2)));

inline Lanes below(Lanes a, uint32_t b) {
  return reinterpret_cast<Lanes>(reinterpret_cast<SignedLanes>(a) < static_cast<int32_t>(b));
}
inline Lanes choose(Lanes mask, Lanes a, Lanes b) { return (a & mask) | (b & ~mask); }
inline Lanes plus(Lanes x, float y) { return reinterpret_cast<Lanes>(reinterpret_cast<FloatLanes>(x) + y); }

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
  static constexpr uint32_t infinity = 0x7c00, largest = 0x7bff, quiet = 0x7e00;
};
template <>
struct Ends<FloatType::kBFloat16> {
  static constexpr uint32_t overflow = 0x7f7f8000, zero = 0x00008000, normal = 0x007f8000;
  static constexpr uint32_t infinity = 0x7f80, largest = 0x7f7f, quiet = 0x7fc0;
};

template <FloatType Type>
constexpr int64_t kCastBytes = Type == FloatType::kFloat32 ? 4 : 2;

// Elements as binary32; of a NaN the bits of any NaN.
template <FloatType From>
inline Lanes loadLanes(const uint8_t* src) {
  if constexpr (From == FloatType::kFloat32) {
    Lanes bits;
    __builtin_memcpy(&bits, src, sizeof bits);
    return bits;
  } else {
    HalfLanes stored;
    __builtin_memcpy(&stored, src, sizeof stored);
    const Lanes pattern = __builtin_convertvector(stored, Lanes);
    if constexpr (From == FloatType::kBFloat16) return pattern << 16;
    const Lanes shifted = (pattern & 0x7fff) << 13;
    // 2^-14 plus a subnormal number is exact; taking the 2^-14 away normalizes it.
    const Lanes subnormal = plus(shifted + 0x38800000, -0x1p-14f);
    const Lanes rebiased = shifted + 0x38000000 + (~below(shifted, 0x0f800000) & 0x38000000);
    return choose(below(shifted, 0x00800000), subnormal, rebiased) | (pattern & 0x8000) << 16;
  }
}

template <FloatType To>
inline Lanes roundLanes(Lanes bits, bool saturate) {
  const Lanes magnitude = bits & kMagnitude;
  Lanes rounded;
  if constexpr (To == FloatType::kBFloat16) {
    rounded = (magnitude + 0x7fff + ((magnitude >> 16) & 1)) >> 16;
  } else {
    const Lanes isSmall = below(magnitude, 0x38800000);
    const Lanes normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    // Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded by the addition.
    const Lanes subnormal = plus(magnitude & isSmall, 0.5f) - 0x3f000000;
    rounded = choose(isSmall, subnormal, normal);
  }
  const Lanes beyond = Lanes{} + (saturate ? Ends<To>::largest : Ends<To>::infinity);
  rounded = choose(below(magnitude, Ends<To>::overflow), rounded, beyond);
  rounded = choose(below(magnitude, kInfinity), rounded, Lanes{} + Ends<To>::infinity);
  rounded |= (bits >> 16) & 0x8000;
  return choose(below(magnitude, kInfinity + 1), rounded, Lanes{} + Ends<To>::quiet);
}

template <FloatType From, FloatType To>
inline void castLanes(const uint8_t* src, bool saturate, uint8_t* out) {
  const Lanes bits = loadLanes<From>(src);
  if constexpr (To == FloatType::kFloat32) {
    const Lanes made = choose(below(bits & kMagnitude, kInfinity + 1), bits, Lanes{} + 0x7fc00000);
    __builtin_memcpy(out, &made, sizeof made);
  } else {
    const HalfLanes made = __builtin_convertvector(roundLanes<To>(bits, saturate), HalfLanes);
    __builtin_memcpy(out, &made, sizeof made);
  }
}

template <FloatType From, FloatType To>
void castRun(const uint8_t* src, int64_t count, bool saturate, uint8_t* out) {
  int64_t index = 0;
  for (; index + kLanes <= count; index += kLanes) {
    castLanes<From, To>(src + index * kCastBytes<From>, saturate, out + index * kCastBytes<To>);
  }
  const int64_t rest = count - index;
  if (rest == 0) return;
  uint8_t read[kLanes * 4] = {}, made[kLanes * 4];
  __builtin_memcpy(read, src + index * kCastBytes<From>, static_cast<size_t>(rest * kCastBytes<From>));
  castLanes<From, To>(read, saturate, made);
  __builtin_memcpy(out + index * kCastBytes<To>, made, static_cast<size_t>(rest * kCastBytes<To>));
}

// What a cast takes, in each lane; a lane holds 32 bits, and pieces are shorter.
struct LaneLoss {
  Lanes overflowed, zeroed, subnormal, peak;
};

template <FloatType From, FloatType To>
inline void measureLanes(const uint8_t* src, LaneLoss& loss) {
  const Lanes magnitude = loadLanes<From>(src) & kMagnitude;
  const Lanes isFinite = below(magnitude, kInfinity);
  const Lanes finite = magnitude & isFinite;
  // A mask is -1 where it is set.
  loss.overflowed -= isFinite & ~below(magnitude, Ends<To>::overflow);
  const Lanes toZero = below(magnitude, Ends<To>::zero + 1);
  loss.zeroed -= toZero & ~below(magnitude, 1);
  loss.subnormal -= ~toZero & below(magnitude, Ends<To>::normal);
  const Lanes isLarger = reinterpret_cast<Lanes>(reinterpret_cast<SignedLanes>(finite) >
                                                 reinterpret_cast<SignedLanes>(loss.peak));
  loss.peak = choose(isLarger, finite, loss.peak);
}

template <FloatType From, FloatType To>
void measureRun(const uint8_t* src, int64_t count, CastLoss* loss) {
  constexpr int64_t kPiece = int64_t{1} << 24;
  for (int64_t start = 0; start < count; start += kPiece) {
    const int64_t end = count - start < kPiece ? count : start + kPiece;
    LaneLoss lanes = {};
    int64_t index = start;
    for (; index + kLanes <= end; index += kLanes) measureLanes<From, To>(src + index * kCastBytes<From>, lanes);
    if (index < end) {
      // Zeros beside the rest are no loss.
      uint8_t read[kLanes * 4] = {};
      __builtin_memcpy(read, src + index * kCastBytes<From>, static_cast<size_t>((end - index) * kCastBytes<From>));
      measureLanes<From, To>(read, lanes);
    }
    for (int lane = 0; lane < kLanes; lane++) {
      loss->overflowed += lanes.overflowed[lane];
      loss->zeroed += lanes.zeroed[lane];
      loss->subnormal += lanes.subnormal[lane];
      loss->peak = lanes.peak[lane] > loss->peak ? lanes.peak[lane] : loss->peak;
    }
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
