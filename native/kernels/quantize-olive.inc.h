// What Olive's passes make of a weight, bit for bit; the references are in src/kernels/olive-*.ts. Blocks are decoded
// in groups of kLanes; a search takes one block a lane, the other methods one block at a time. Needs a simd-*.h and
// quantize-rows.inc.h before it.
#pragma once

#include "quantize-olive-block.inc.h"

namespace lathe {
namespace {
namespace olive {

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
