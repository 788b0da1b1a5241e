// One block as Olive's Gather quantizer and QuantizeEmbeddingInt8 make it, and what all of Olive's methods need: scalar
// roundings, decoding, and where results go. The references are src/kernels/olive-block.ts and olive-quantizer.ts.
#pragma once

#include "float-patterns.h"
#include "quantize-olive-search.inc.h"

namespace lathe {
namespace {
namespace olive {

// Finite numbers only, of either 16-bit type.
inline float fromHalf(uint32_t half) {
  return floatOf(patternOf(floatOf((half & 0x7fff) << 13) * 0x1p112f) | (half & 0x8000) << 16);
}

inline uint32_t toHalf(float value) {
  const uint32_t bits = patternOf(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  return sign | (patternOf(floatOf(magnitude) + 0.5f) - 0x3f000000);
}

inline uint32_t toBFloat16(float value) {
  const uint32_t bits = patternOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

// A binary32 value rounded to a type.
inline float rounded(FloatType type, float value) {
  if (type == FloatType::kFloat32) return value;
  if (type == FloatType::kBFloat16) return floatOf(toBFloat16(value) << 16);
  const uint32_t half = toHalf(value);
  if ((half & 0x7c00) == 0x7c00) return floatOf((half & 0x8000) << 16 | 0x7f800000 | (half & 0x3ff) << 13);
  return fromHalf(half);
}

// NaN stays.
inline float clip(float value, float low, float high) {
  const float raised = value < low ? low : value;
  return raised > high ? high : raised;
}

// The nearest whole number, ties to even, of a number below 2^22; NaN stays.
inline float roundEven(float value) {
  constexpr float kShift = 0x1.8p23f;
  return value + kShift - kShift;
}

inline Floats loadFloats(const float* from) {
  return load<FloatType::kFloat32>(reinterpret_cast<const uint8_t*>(from));
}

inline int64_t elementBytes(FloatType type) { return type == FloatType::kFloat32 ? 4 : 2; }

// True when all of `rows` rows of `columns` elements, less their signs, are below a limit.
template <typename Element, Element kLimit>
inline bool areBelow(const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns) {
  uint32_t odd = 0;
  for (int64_t row = 0; row < rows; row++) {
    const uint8_t* const from = src + row * rowStride;
    for (int64_t i = 0; i < columns; i++) {
      Element bits;
      __builtin_memcpy(&bits, from + i * static_cast<int64_t>(sizeof bits), sizeof bits);
      odd |= static_cast<Element>(bits << 1) >= static_cast<Element>(kLimit << 1);
    }
  }
  return odd == 0;
}

ElementIndex findNonFiniteOf(FloatType type, const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns) {
  switch (type) {
    case FloatType::kFloat32:
      if (areBelow<uint32_t, 0x7f000000>(src, rowStride, rows, columns)) return -1;
      return findNonFinite<FloatType::kFloat32>(src, rowStride, rows, columns);
    case FloatType::kFloat16:
      if (areBelow<uint16_t, 0x7c00>(src, rowStride, rows, columns)) return -1;
      return findNonFinite<FloatType::kFloat16>(src, rowStride, rows, columns);
    default:
      if (areBelow<uint16_t, 0x7f00>(src, rowStride, rows, columns)) return -1;
      return findNonFinite<FloatType::kBFloat16>(src, rowStride, rows, columns);
  }
}

// Finite elements as floats.
void decode(FloatType type, const uint8_t* src, int64_t count, float* values) {
  if (type == FloatType::kFloat32) {
    __builtin_memcpy(values, src, static_cast<size_t>(count) * 4);
    return;
  }
  int64_t i = 0;
  if (type == FloatType::kFloat16) {
    for (; i + kLanes <= count; i += kLanes) storeFloats(values + i, load<FloatType::kFloat16>(src + i * 2));
  }
  for (; i < count; i++) {
    uint16_t bits;
    __builtin_memcpy(&bits, src + i * 2, 2);
    values[i] = type == FloatType::kFloat16 ? fromHalf(bits) : floatOf(static_cast<uint32_t>(bits) << 16);
  }
}

// Where the results of one block go.
struct BlockPlace {
  const QuantizeParams* params;
  const QuantizeOutput* out;
  int64_t channel;
  int64_t block;

  void scale(float value) const {
    uint8_t* const to = out->scales + channel * out->scalesStride + block * elementBytes(params->type);
    const uint32_t bits = params->type == FloatType::kFloat32   ? patternOf(value)
                          : params->type == FloatType::kFloat16 ? toHalf(value)
                                                               : toBFloat16(value);
    __builtin_memcpy(to, &bits, static_cast<size_t>(elementBytes(params->type)));
  }

  // `padding`: what the unused slots of a channel's last byte hold.
  void zeroPoint(uint8_t value, uint8_t padding) const {
    if (out->zeroPoints == nullptr) return;
    uint8_t* const first = out->zeroPoints + channel * out->zeroPointsStride;
    if (params->bits == 8) {
      first[block] = value;
    } else if (block % 2 == 0) {
      first[block / 2] = static_cast<uint8_t>(padding << 4 | value);
    } else {
      first[block / 2] = static_cast<uint8_t>((first[block / 2] & 0x0f) | value << 4);
    }
  }

  // `values` has a slot more than `count` where that is odd.
  void codes(int32_t* values, int64_t count) const {
    uint8_t* const to = out->codes + channel * out->codesStride + block * (params->blockSize * params->bits / 8);
    if (params->bits == 8) {
      for (int64_t i = 0; i < count; i++) to[i] = static_cast<uint8_t>(values[i]);
      return;
    }
    if (count % 2 != 0) values[count] = 0;
    for (int64_t i = 0; i < (count + 1) / 2; i++) {
      to[i] = static_cast<uint8_t>(values[2 * i] | values[2 * i + 1] << 4);
    }
  }
};

struct Extremes {
  float low;
  float high;
};

// `x` is padded to whole registers with one of its elements. Which of +0 and -0 is an extreme is left open.
Extremes findExtremes(const float* x, int64_t count) {
  Floats low = loadFloats(x), high = low;
  for (int64_t i = kLanes; i < count; i += kLanes) {
    low = min(low, loadFloats(x + i));
    high = max(high, loadFloats(x + i));
  }
  float lows[kLanes], highs[kLanes];
  storeFloats(lows, low);
  storeFloats(highs, high);
  Extremes found = {lows[0], highs[0]};
  for (int lane = 1; lane < kLanes; lane++) {
    found.low = lows[lane] < found.low ? lows[lane] : found.low;
    found.high = highs[lane] > found.high ? highs[lane] : found.high;
  }
  return found;
}

// Limited whole numbers, more by `more`, as codes.
inline void storeCodes(int32_t* to, Floats values, int32_t more) {
  storeInts(to, addInts(truncate(values), broadcastInt(more)));
}

template <bool kHalf>
inline Floats roundTo(Floats value) {
  if constexpr (kHalf) return roundToHalf(value);
  return value;
}

// OnnxBlockWiseRtnQuantization of a Gather, for fp16 in its own arithmetic.
template <bool kHalf>
void gatherBlock(const BlockPlace& place, const float* x, int64_t count) {
  const FloatType type = place.params->type;
  // bf16 is widened by NumPy where it meets a Python number: only the range is rounded to it.
  const FloatType arithmetic = kHalf ? type : FloatType::kFloat32;
  const int32_t middle = 1 << (place.params->bits - 1);
  const float top = static_cast<float>(2 * middle - 1);
  const Extremes extremes = findExtremes(x, count);
  const bool symmetric = place.params->symmetric;
  const float low = extremes.low < 0 ? extremes.low : 0.0f;
  const float high = extremes.high > 0 ? extremes.high : 0.0f;
  float scale;
  if (symmetric) {
    float peak = __builtin_fabsf(extremes.high) > __builtin_fabsf(extremes.low) ? extremes.high : extremes.low;
    // Of zeros NumPy takes the first for fp16, else the last.
    if (peak == 0) peak = kHalf ? x[0] : x[count - 1];
    scale = rounded(arithmetic, peak / static_cast<float>(-middle));
  } else {
    scale = rounded(arithmetic, rounded(type, high - low) / top);
  }
  alignas(64) int32_t codes[kMaxBlockSize + kLanes];
  place.scale(scale);
  const Floats step = broadcast(scale);
  if (scale == 0) {
    for (int64_t i = 0; i < count; i++) codes[i] = middle;
    place.zeroPoint(static_cast<uint8_t>(middle), 0);
  } else if (symmetric) {
    const Floats least = broadcast(static_cast<float>(-middle)), most = broadcast(static_cast<float>(middle - 1));
    for (int64_t i = 0; i < count; i += kLanes) {
      const Floats steps = roundTo<kHalf>(divide(loadFloats(x + i), step));
      storeCodes(codes + i, roundEven(clip(steps, least, most)), middle);
    }
  } else {
    const float zeroPoint = roundEven(clip(rounded(arithmetic, -low / scale), 0, top));
    place.zeroPoint(static_cast<uint8_t>(zeroPoint), 0);
    const Floats least = broadcast(0.0f), most = broadcast(top), shift = broadcast(zeroPoint);
    for (int64_t i = 0; i < count; i += kLanes) {
      const Floats position = roundTo<kHalf>(add(roundTo<kHalf>(divide(loadFloats(x + i), step)), shift));
      storeCodes(codes + i, roundEven(clip(position, least, most)), 0);
    }
  }
  place.codes(codes, count);
}

// QuantizeEmbeddingInt8.
void int8Block(const BlockPlace& place, const float* x, int64_t count) {
  const Extremes extremes = findExtremes(x, count);
  const float magnitude = __builtin_fabsf(-extremes.low > extremes.high ? extremes.low : extremes.high);
  const float scale = rounded(place.params->type, magnitude / 127.0f);
  const Floats step = broadcast(scale == 0 ? 1 : scale);
  const Floats least = broadcast(-128), most = broadcast(127);
  alignas(64) int32_t codes[kMaxBlockSize + kLanes];
  for (int64_t i = 0; i < count; i += kLanes) {
    storeCodes(codes + i, roundEven(clip(divide(loadFloats(x + i), step), least, most)), 128);
  }
  place.scale(scale);
  place.zeroPoint(128, 0);
  for (int64_t i = count; i < place.params->blockSize; i++) codes[i] = 0;
  place.codes(codes, place.params->blockSize);
}

}  // namespace olive
}  // namespace
}  // namespace lathe
