// What Olive's passes make of a weight, bit for bit; the references are in src/kernels/olive-*.ts. Blocks are decoded
// in groups of kLanes; a search takes one block a lane, the other methods one block at a time. Needs a simd-*.h and
// quantize-rows.inc.h before it.
#pragma once

#include "quantize-olive-search.inc.h"

namespace lathe {
namespace {
namespace olive {

inline uint32_t patternOf(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

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

// True when all of `rows` rows of `columns` elements are finite.
template <typename Element, Element kExponent>
inline bool areFinite(const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns) {
  uint32_t odd = 0;
  for (int64_t row = 0; row < rows; row++) {
    const uint8_t* const from = src + row * rowStride;
    for (int64_t i = 0; i < columns; i++) {
      Element bits;
      __builtin_memcpy(&bits, from + i * static_cast<int64_t>(sizeof bits), sizeof bits);
      odd |= static_cast<Element>(bits & kExponent) == kExponent;
    }
  }
  return odd == 0;
}

ElementIndex findNonFiniteOf(FloatType type, const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns) {
  switch (type) {
    case FloatType::kFloat32:
      if (areFinite<uint32_t, 0x7f800000>(src, rowStride, rows, columns)) return -1;
      return findNonFinite<FloatType::kFloat32>(src, rowStride, rows, columns);
    case FloatType::kFloat16:
      if (areFinite<uint16_t, 0x7c00>(src, rowStride, rows, columns)) return -1;
      return findNonFinite<FloatType::kFloat16>(src, rowStride, rows, columns);
    default:
      if (areFinite<uint16_t, 0x7f80>(src, rowStride, rows, columns)) return -1;
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
  place.codes(codes, count);
}

// A group of blocks with the same number of elements, decoded, and where their results go.
struct BlockGroup {
  int lanes = 0;
  int64_t elements;
  BlockPlace places[kLanes];
  alignas(64) float x[kLanes][kMaxBlockSize + kLanes];
  Floats turned[kMaxBlockSize];  // one block a lane, for the search
};

// What lies past the end of a channel is zeros, which take part and get codes.
template <bool kSingle>
void kQuantGroup(BlockGroup* group) {
  const QuantizeParams& params = *group->places[0].params;
  const int64_t size = params.blockSize;
  const float top = static_cast<float>((1u << params.bits) - 1);
  for (int64_t i = 0; i < size; i++) {
    float lanes[kLanes];
    for (int lane = 0; lane < kLanes; lane++) {
      lanes[lane] = lane < group->lanes && i < group->elements ? group->x[lane][i] : 0;
    }
    group->turned[i] = loadFloats(lanes);
  }
  Fits fits;
  findFits<kSingle>(group->turned, size, top, &fits);
  for (int lane = 0; lane < group->lanes; lane++) {
    const BlockPlace& place = group->places[lane];
    const float position = roundEven(clip(-fits.offset[lane] / fits.scale[lane], 0, top));
    // As NumPy on x86-64 converts it, NaN is 0; so it is below, where it comes of 0 / 0.
    const int32_t zeroPoint = position > 0 ? static_cast<int32_t>(position) : 0;
    // In binary64, with the scale as it is before it is stored.
    const double step = fits.scale[lane], most = top;
    int32_t codes[kMaxBlockSize + 1];
    for (int64_t i = group->elements; i < size; i++) group->x[lane][i] = 0;
    for (int64_t i = 0; i < size; i++) {
      const double at = static_cast<double>(group->x[lane][i]) / step + zeroPoint;
      const double raised = at > 0 ? at : 0;
      codes[i] = static_cast<int32_t>((raised < most ? raised : most) + 0x1.8p52 - 0x1.8p52);
    }
    place.scale(fits.scale[lane]);
    place.zeroPoint(static_cast<uint8_t>(zeroPoint), 8);
    place.codes(codes, size);
  }
}

void quantizeGroup(BlockGroup* group) {
  if (group->lanes == 0) return;
  const QuantizeParams& params = *group->places[0].params;
  if (params.method == QuantizeMethod::kOliveKQuant) {
    kQuantGroup<false>(group);
  } else if (params.method == QuantizeMethod::kOliveKQuantSingle) {
    kQuantGroup<true>(group);
  } else {
    for (int lane = 0; lane < group->lanes; lane++) {
      float* const x = group->x[lane];
      for (int i = 0; i < kLanes; i++) x[group->elements + i] = x[0];
      if (params.method == QuantizeMethod::kOliveInt8) {
        int8Block(group->places[lane], x, group->elements);
      } else if (params.type == FloatType::kFloat16) {
        gatherBlock<true>(group->places[lane], x, group->elements);
      } else {
        gatherBlock<false>(group->places[lane], x, group->elements);
      }
    }
  }
  group->lanes = 0;
}

}  // namespace olive

ElementIndex quantizeOliveRows(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                               const QuantizeOutput& out) {
  using namespace olive;
  const int64_t rowBytes = params.k * elementBytes(params.type);
  const ElementIndex hit = findNonFiniteOf(params.type, src, rowBytes, channels, params.k);
  if (hit >= 0) return hit;
  // Whole blocks, and those that end channels: the first are always done first, since a pair of blocks, in their
  // order, shares a byte of zero points.
  BlockGroup whole, ends;
  for (int64_t channel = 0; channel < channels; channel++) {
    for (int64_t first = 0; first < params.k; first += params.blockSize) {
      const int64_t elements = params.k - first < params.blockSize ? params.k - first : params.blockSize;
      BlockGroup* const group = elements < params.blockSize ? &ends : &whole;
      group->elements = elements;
      group->places[group->lanes] = {&params, &out, channel, first / params.blockSize};
      const uint8_t* const from = src + channel * rowBytes + first * elementBytes(params.type);
      decode(params.type, from, elements, group->x[group->lanes++]);
      if (group->lanes < kLanes) continue;
      quantizeGroup(&whole);
      if (group == &ends) quantizeGroup(&ends);
    }
  }
  quantizeGroup(&whole);
  quantizeGroup(&ends);
  return -1;
}

ElementIndex quantizeOliveColumns(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                                  int64_t columns, const QuantizeOutput& out) {
  using namespace olive;
  const ElementIndex hit = findNonFiniteOf(params.type, src, rowStride, rows, columns);
  if (hit >= 0) return hit;
  const int64_t size = elementBytes(params.type);
  BlockGroup group;
  for (int64_t first = 0; first < rows; first += params.blockSize) {
    group.elements = rows - first < params.blockSize ? rows - first : params.blockSize;
    for (int64_t column = 0; column < columns; column += kLanes) {
      group.lanes = static_cast<int>(columns - column < kLanes ? columns - column : kLanes);
      for (int64_t row = 0; row < group.elements; row++) {
        float values[kLanes];
        decode(params.type, src + (first + row) * rowStride + column * size, group.lanes, values);
        for (int lane = 0; lane < group.lanes; lane++) group.x[lane][row] = values[lane];
      }
      for (int lane = 0; lane < group.lanes; lane++) {
        group.places[lane] = {&params, &out, column + lane, first / params.blockSize};
      }
      quantizeGroup(&group);
    }
  }
  return -1;
}

}  // namespace
}  // namespace lathe
