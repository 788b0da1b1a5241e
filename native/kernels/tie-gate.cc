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

float halfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  // Exponent and fraction in place, the bias corrected by a multiplication that also normalises subnormals.
  uint32_t bits = magnitude << 13;
  float value;
  if (magnitude >= 0x7c00) {
    bits |= 0x7f800000;
    std::memcpy(&value, &bits, sizeof value);
  } else {
    std::memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
  }
  std::memcpy(&bits, &value, sizeof bits);
  bits |= sign;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float decode(FloatType type, const uint8_t* from) {
  if (type == FloatType::kFloat32) {
    float value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, from, sizeof half);
  if (type == FloatType::kFloat16) return halfToFloat(half);
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

double smallestNormal(FloatType type) { return type == FloatType::kFloat16 ? 0x1p-14 : 0x1p-126; }

uint32_t unpack(const uint8_t* packed, uint32_t bits, int64_t index) {
  if (bits == 8) return packed[index];
  return packed[index / 2] >> (index % 2 * 4) & 15;
}

struct Block {
  const float* values;
  int64_t elements;
  const uint8_t* codes;
  double scale;
  double zeroPoint;
  int64_t firstIndex;  // channel * k + element of values[0]
};

void gateBlock(const TieGateParams& params, const Block& block, TieGateResult* result) {
  const double top = static_cast<double>((1u << params.bits) - 1);
  const double tiny = smallestNormal(params.type);
  result->compared += block.elements;
  for (int64_t i = 0; i < block.elements; i++) {
    const double x = block.values[i];
    const double code = unpack(block.codes, params.bits, i);
    double distance;
    double tolerance = 0;
    if (block.scale == 0) {
      distance = std::fabs(x) <= tiny ? 0 : std::numeric_limits<double>::infinity();
    } else {
      const double position = x / block.scale + block.zeroPoint;
      if ((code == 0 && position < 0) || (code == top && position > top)) continue;
      distance = std::fabs(position - code);
      tolerance = kHalfStep + std::fabs(code - block.zeroPoint) * kPerStep + kSlack;
      if (std::isnan(distance)) distance = std::numeric_limits<double>::infinity();
    }
    if (!(distance <= tolerance)) result->rejected++;
    const int64_t index = block.firstIndex + i;
    if (result->worstIndex < 0 || distance > result->worstSteps ||
        (distance == result->worstSteps && index < result->worstIndex)) {
      result->worstSteps = distance;
      result->worstIndex = index;
    }
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
  float values[kTogether][kMaxBlockSize];
  for (int64_t first = 0; first < channels; first += kTogether) {
    const int64_t together = channels - first < kTogether ? channels - first : kTogether;
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t elements = params.k - b * blockSize < blockSize ? params.k - b * blockSize : blockSize;
      for (int64_t i = 0; i < elements; i++) {
        const uint8_t* from = table + first * channelStride + (b * blockSize + i) * elementStride;
        for (int64_t c = 0; c < together; c++) values[c][i] = decode(params.type, from + c * channelStride);
      }
      for (int64_t c = 0; c < together; c++) {
        const int64_t channel = first + c;
        const int64_t index = channel * blocks + b;
        const double zeroPoint = params.hasZeroPoints
                                     ? unpack(zeroPoints + channel * zeroPointBytes, params.bits, b)
                                     : static_cast<double>(1u << (params.bits - 1));
        gateBlock(params,
                  {values[c], elements, codes + index * blob, decode(params.scaleType, scales + index * scaleBytes),
                   zeroPoint, (firstChannel + channel) * params.k + b * blockSize},
                  result);
      }
    }
  }
}

}  // namespace lathe
