// Is a quantized table the encoding of a float one? Decided element by element, in double.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels.h"

namespace lathe {

namespace {

constexpr int64_t kMaxBlockSize = 256;
// Channels whose blocks are decoded together, so that a line of a [K, N] table is used whole.
constexpr int64_t kTogether = 16;
// Weights stored next to their code's value: the tie-break of the quantizer and the rounding of scale and reciprocal.
constexpr double kHalfStep = 0.5;
constexpr double kPerStep = 0x1p-10;
constexpr double kSlack = 0x1p-6;

int64_t elementBytes(FloatType type) { return type == FloatType::kFloat32 ? 4 : 2; }

float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <FloatType kType>
float decode(const uint8_t* from) {
  if (kType == FloatType::kFloat32) {
    uint32_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return fromBits(bits);
  }
  uint16_t half;
  std::memcpy(&half, from, sizeof half);
  if (kType == FloatType::kBFloat16) return fromBits(static_cast<uint32_t>(half) << 16);
  // Exponent and fraction in place, the bias corrected by a multiplication that also normalises subnormals. Infinity
  // and NaN become 2^16 and more, which no fp16 number is, and from there what they were.
  const float magnitude = fromBits(static_cast<uint32_t>(half & 0x7fff) << 13) * 0x1p112f;
  uint32_t bits;
  std::memcpy(&bits, &magnitude, sizeof bits);
  bits |= magnitude >= 0x1p16f ? 0x7f800000 : 0;
  return fromBits(bits | static_cast<uint32_t>(half & 0x8000) << 16);
}

template <FloatType kType>
void decodeRun(const uint8_t* from, int64_t stride, int64_t count, float* to) {
  if (stride == static_cast<int64_t>(kType == FloatType::kFloat32 ? 4 : 2)) {
    constexpr int64_t kStride = kType == FloatType::kFloat32 ? 4 : 2;
    for (int64_t i = 0; i < count; i++) to[i] = decode<kType>(from + i * kStride);
  } else {
    for (int64_t i = 0; i < count; i++) to[i] = decode<kType>(from + i * stride);
  }
}

void decodeRun(FloatType type, const uint8_t* from, int64_t stride, int64_t count, float* to) {
  switch (type) {
    case FloatType::kFloat32:
      return decodeRun<FloatType::kFloat32>(from, stride, count, to);
    case FloatType::kFloat16:
      return decodeRun<FloatType::kFloat16>(from, stride, count, to);
    default:
      return decodeRun<FloatType::kBFloat16>(from, stride, count, to);
  }
}

float decodeOne(FloatType type, const uint8_t* from) {
  float value;
  decodeRun(type, from, elementBytes(type), 1, &value);
  return value;
}

double smallestNormal(FloatType type) { return type == FloatType::kFloat16 ? 0x1p-14 : 0x1p-126; }

uint32_t unpack(const uint8_t* packed, uint32_t bits, int64_t index) {
  return packed[index * bits / 8] >> (index * bits % 8) & ((1u << bits) - 1);
}

void unpackAll(const uint8_t* packed, uint32_t bits, int64_t count, int32_t* to) {
  if (bits == 8) {
    for (int64_t i = 0; i < count; i++) to[i] = packed[i];
    return;
  }
  if (bits == 2) {
    for (int64_t i = 0; i < count; i++) to[i] = packed[i / 4] >> (i % 4 * 2) & 3;
    return;
  }
  for (int64_t i = 0; i < count / 2; i++) {
    to[2 * i] = packed[i] & 15;
    to[2 * i + 1] = packed[i] >> 4;
  }
  if (count % 2 != 0) to[count - 1] = packed[count / 2] & 15;
}

struct Block {
  const float* values;
  const int32_t* codes;
  int64_t elements;
  double scale;
  double zeroPoint;
  double top;   // the largest code
  double tiny;  // what counts as 0 where the scale is 0
};

// Distance of an element from its code in steps, -1 where the code is clamped at the end the element lies beyond.
double distanceOf(const Block& block, int64_t i) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double x = block.values[i];
  if (block.scale == 0) return std::fabs(x) <= block.tiny ? 0 : infinity;
  const double code = block.codes[i];
  const double position = x / block.scale + block.zeroPoint;
  if ((code == 0 && position < 0) || (code == block.top && position > block.top)) return -1;
  const double distance = std::fabs(position - code);
  return std::isnan(distance) ? infinity : distance;
}

double toleranceOf(const Block& block, int64_t i) {
  if (block.scale == 0) return 0;
  return kHalfStep + std::fabs(block.codes[i] - block.zeroPoint) * kPerStep + kSlack;
}

struct BlockSummary {
  int64_t rejected;
  double worst;  // -1 when every element is clamped
};

// The same two functions over a block, two elements at a time: GCC and Clang compile it to plain vector instructions.
BlockSummary summarize(const Block& block) {
  typedef double Pair __attribute__((vector_size(16)));
  typedef int64_t PairMask __attribute__((vector_size(16)));
  const auto both = [](double x) { return Pair{x, x}; };
  const auto select = [](PairMask mask, Pair a, Pair b) {
    return reinterpret_cast<Pair>((mask & reinterpret_cast<PairMask>(a)) | (~mask & reinterpret_cast<PairMask>(b)));
  };
  const PairMask magnitude = {INT64_MAX, INT64_MAX};
  const auto absolute = [magnitude](Pair x) { return reinterpret_cast<Pair>(reinterpret_cast<PairMask>(x) & magnitude); };
  const Pair zero = both(0), top = both(block.top), zeroPoint = both(block.zeroPoint), scale = both(block.scale);
  const Pair largest = both(std::numeric_limits<double>::max());
  const Pair infinity = both(std::numeric_limits<double>::infinity());
  Pair worst = both(-1);
  PairMask rejected = {0, 0};
  int64_t i = 0;
  for (; block.scale != 0 && i + 2 <= block.elements; i += 2) {
    const Pair x = {block.values[i], block.values[i + 1]};
    const Pair code = {static_cast<double>(block.codes[i]), static_cast<double>(block.codes[i + 1])};
    const Pair position = x / scale + zeroPoint;
    const PairMask clamped = ((code == zero) & (position < zero)) | ((code == top) & (position > top));
    const Pair steps = absolute(position - code);
    const Pair distance = select(clamped, both(-1), select(steps <= largest, steps, infinity));
    const Pair tolerance = both(kHalfStep) + absolute(code - zeroPoint) * both(kPerStep) + both(kSlack);
    rejected -= distance > tolerance;
    worst = select(distance > worst, distance, worst);
  }
  BlockSummary summary = {rejected[0] + rejected[1], worst[0] > worst[1] ? worst[0] : worst[1]};
  for (; i < block.elements; i++) {
    const double distance = distanceOf(block, i);
    if (distance > toleranceOf(block, i)) summary.rejected++;
    if (distance > summary.worst) summary.worst = distance;
  }
  return summary;
}

// Adds a block to the result; `firstIndex` is channel * k + element of its first element.
void gateBlock(const Block& block, int64_t firstIndex, TieGateResult* result) {
  const BlockSummary summary = summarize(block);
  result->compared += block.elements;
  result->rejected += summary.rejected;
  if (summary.worst < 0) return;
  const bool worse = result->worstIndex < 0 || summary.worst > result->worstSteps;
  if (!worse && (summary.worst < result->worstSteps || firstIndex > result->worstIndex)) return;
  for (int64_t i = 0; i < block.elements; i++) {
    if (distanceOf(block, i) != summary.worst) continue;
    result->worstSteps = summary.worst;
    result->worstIndex = firstIndex + i;
    return;
  }
}

}  // namespace

void tieGate(const TieGateParams& params, const uint8_t* table, int64_t channelStride, int64_t elementStride,
             int64_t channels, int64_t firstChannel, const uint8_t* codes, const uint8_t* scales,
             const uint8_t* zeroPoints, TieGateResult* result) {
  *result = {0, 0, 0.0, -1};
  const int64_t blockSize = params.blockSize;
  const int64_t blocks = (params.k + blockSize - 1) / blockSize;
  const int64_t blob = blockSize * params.bits / 8;
  const int64_t scaleBytes = elementBytes(params.scaleType);
  const int64_t zeroPointBytes = (blocks * params.bits + 7) / 8;
  const double top = static_cast<double>((1u << params.bits) - 1);
  const double tiny = smallestNormal(params.type);
  const int64_t tableBytes = elementBytes(params.type);
  float values[kTogether][kMaxBlockSize];
  int32_t unpacked[kMaxBlockSize];
  for (int64_t first = 0; first < channels; first += kTogether) {
    const int64_t together = channels - first < kTogether ? channels - first : kTogether;
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t elements = params.k - b * blockSize < blockSize ? params.k - b * blockSize : blockSize;
      const uint8_t* from = table + first * channelStride + b * blockSize * elementStride;
      if (channelStride == tableBytes) {
        for (int64_t i = 0; i < elements; i++) {
          float line[kTogether];
          decodeRun(params.type, from + i * elementStride, channelStride, together, line);
          for (int64_t c = 0; c < together; c++) values[c][i] = line[c];
        }
      } else {
        for (int64_t c = 0; c < together; c++) {
          decodeRun(params.type, from + c * channelStride, elementStride, elements, values[c]);
        }
      }
      for (int64_t c = 0; c < together; c++) {
        const int64_t channel = first + c;
        const int64_t index = channel * blocks + b;
        const double zeroPoint = params.hasZeroPoints
                                     ? unpack(zeroPoints + channel * zeroPointBytes, params.bits, b)
                                     : static_cast<double>(1u << (params.bits - 1));
        const double scale = decodeOne(params.scaleType, scales + index * scaleBytes);
        unpackAll(codes + index * blob, params.bits, elements, unpacked);
        gateBlock({values[c], unpacked, elements, scale, zeroPoint, top, tiny},
                  (firstChannel + channel) * params.k + b * blockSize, result);
      }
    }
  }
}

}  // namespace lathe
