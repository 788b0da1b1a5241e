// Measures what quantizers made of rows and of columns: which blocks make the lots of measure-tally.inc.h.
#pragma once

#include "measure-tally.inc.h"

namespace lathe {
namespace {

void measureBlocks(const float* exact, const float* found, int64_t blockSize, int count, int64_t index,
                   int64_t indexStep, ErrorSum* sum) {
  const auto bytes = [blockSize](const float* from, int first) {
    return reinterpret_cast<const uint8_t*>(from + first * blockSize);
  };
  Tally<FloatType::kFloat32, kFloatBits, 0> tally(blockSize, sum);
  for (int first = 0; first < count; first += kLanes) {
    Lot lot = {bytes(exact, first), blockSize * 4, bytes(found, first), blockSize * 4, index + first * indexStep,
               indexStep, count - first < kLanes ? count - first : kLanes, {}, {}};
    tally.add(lot);
  }
  tally.flush();
}

// Zero point of a block of one channel.
template <int kBits>
inline float zeroPointAt(const QuantizeOutput& out, int64_t channel, int64_t block) {
  if (out.zeroPoints == nullptr) return 1 << (kBits - 1);
  const uint8_t byte = out.zeroPoints[channel * out.zeroPointsStride + block * kBits / 8];
  return static_cast<float>(byte >> (block * kBits % 8) & ((1 << kBits) - 1));
}

// Fills in the scales and zero points of a lot whose blocks lie `channelStep` channels and `blockStep` blocks apart.
template <FloatType kType, int kBits>
inline void setCoders(const QuantizeOutput& out, int64_t channel, int64_t channelStep, int64_t block,
                      int64_t blockStep, Lot* lot) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  alignas(64) uint8_t scales[kLanes * kBytes] = {};
  for (int i = 0; i < lot->count && i < kLanes; i++) {  // twice limited, for GCC's warnings
    const int64_t c = channel + i * channelStep, b = block + i * blockStep;
    __builtin_memcpy(scales + i * kBytes, out.scales + c * out.scalesStride + b * kBytes, kBytes);
    lot->zeroPoints[i] = zeroPointAt<kBits>(out, c, b);
  }
  storeFloats(lot->scales, load<kType>(scales));
}

// The same for kLanes blocks of one channel, the first of which is a multiple of kLanes: packed zero points are decoded
// like codes.
template <FloatType kType, int kBits>
inline void setNeighbours(const QuantizeOutput& out, int64_t channel, int64_t block, Lot* lot) {
  storeFloats(lot->scales, load<kType>(out.scales + channel * out.scalesStride + block * kElementBytes<kType>));
  const Floats middle = broadcast(1 << (kBits - 1));
  const Decoder<kBits> plain(1, 0);
  storeFloats(lot->zeroPoints, out.zeroPoints == nullptr
                                   ? middle
                                   : plain.at(out.zeroPoints + channel * out.zeroPointsStride + block * kBits / 8));
}

// A block that is cut short, as numbers of a whole one: 0 where it has none.
template <FloatType kType, int kBits>
__attribute__((noinline)) void measureTail(const uint8_t* src, const uint8_t* codes, float scale, float zeroPoint,
                                           int64_t elements, int64_t blockSize, int64_t index, ErrorSum* sum) {
  alignas(64) uint8_t padded[kMaxMeasuredBlock * kElementBytes<kType>] = {};
  alignas(64) float exact[kMaxMeasuredBlock], found[kMaxMeasuredBlock];
  __builtin_memcpy(padded, src, elements * kElementBytes<kType>);
  const Found<kBits> source(scale, zeroPoint);
  for (int64_t i = 0; i < blockSize; i += kLanes) {
    storeFloats(exact + i, load<kType>(padded + i * kElementBytes<kType>));
    storeFloats(found + i, source.at(codes + i * kBits / 8));
  }
  for (int64_t i = elements; i < blockSize; i++) found[i] = 0;
  measureBlocks(exact, found, blockSize, 1, index, 0, sum);
}

template <FloatType kType, int kBits, int kFixedSize>
void measureRowsOf(const QuantizeParams& params, const uint8_t* src, int64_t channels, const QuantizeOutput& out,
                   const ErrorPlace& place, ErrorSum* sum) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  const int64_t blockSize = kFixedSize == 0 ? params.blockSize : kFixedSize;
  const int64_t blob = blockSize * kBits / 8;
  const int64_t whole = params.k / blockSize, tail = params.k % blockSize;
  Tally<kType, kBits, kFixedSize> tally(blockSize, sum);
  Lot lot = {src, blockSize * kBytes, out.codes, blob, 0, blockSize, 0, {}, {}};
  for (int64_t channel = 0; channel < channels; channel++) {
    const uint8_t* const row = src + channel * params.k * kBytes;
    const uint8_t* const codes = out.codes + channel * out.codesStride;
    const int64_t index = place.first + channel * place.channelStride;
    for (int64_t block = 0; block < whole; block += kLanes) {
      lot.exact = row + block * blockSize * kBytes;
      lot.codes = codes + block * blob;
      lot.index = index + block * blockSize;
      lot.count = static_cast<int>(whole - block < kLanes ? whole - block : kLanes);
      if (lot.count == kLanes) {
        setNeighbours<kType, kBits>(out, channel, block, &lot);
      } else {
        setCoders<kType, kBits>(out, channel, 0, block, 1, &lot);
      }
      tally.add(lot);
    }
    if (tail != 0) {
      lot.count = 1;
      setCoders<kType, kBits>(out, channel, 0, whole, 1, &lot);
      measureTail<kType, kBits>(row + whole * blockSize * kBytes, codes + whole * blob, lot.scales[0],
                                lot.zeroPoints[0], tail, blockSize, index + whole * blockSize, sum);
    }
  }
  tally.flush();
}

// Columns of a strip: kLanes channels are brought into rows of floats, a block at a time.
template <FloatType kType, int kBits, int kFixedSize>
void measureColumnsOf(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                      int64_t columns, const QuantizeOutput& out, const ErrorPlace& place, ErrorSum* sum) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  constexpr int64_t kPitch = kMaxMeasuredBlock * 4 + 64;  // an odd number of cache lines
  const int64_t blockSize = kFixedSize == 0 ? params.blockSize : kFixedSize;
  const int64_t blob = blockSize * kBits / 8;
  Tally<FloatType::kFloat32, kBits, kFixedSize> tally(blockSize, sum);
  alignas(64) uint8_t staged[kLanes * kPitch];
  alignas(64) uint8_t part[kLanes * kBytes] = {};
  Lot lot = {staged, kPitch, out.codes, out.codesStride, 0, place.channelStride, 0, {}, {}};
  for (int64_t column = 0; column < columns; column += kLanes) {
    lot.count = static_cast<int>(columns - column < kLanes ? columns - column : kLanes);
    for (int64_t row = 0; row < rows; row += blockSize) {
      const int64_t present = rows - row < blockSize ? rows - row : blockSize;
      for (int64_t i = 0; i < present; i += kLanes) {
        Ints words[kLanes];
        for (int64_t j = 0; j < kLanes; j++) {
          const uint8_t* from = src + (row + (i + j < present ? i + j : present - 1)) * rowStride + column * kBytes;
          if (lot.count < kLanes) {
            __builtin_memcpy(part, from, lot.count * kBytes);
            from = part;
          }
          words[j] = bitsOf(load<kType>(from));
        }
        storeTransposed(words, staged + i * 4, kPitch, kLanes);
      }
      const int64_t block = row / blockSize;
      lot.codes = out.codes + column * out.codesStride + block * blob;
      lot.index = place.first + column * place.channelStride + row;
      setCoders<kType, kBits>(out, column, 1, block, 0, &lot);
      if (present == blockSize) {
        tally.add(lot);
        continue;
      }
      for (int i = 0; i < lot.count; i++) {
        measureTail<FloatType::kFloat32, kBits>(staged + i * kPitch, lot.codes + i * lot.codesStep, lot.scales[i],
                                                lot.zeroPoints[i], present, blockSize, lot.index + i * lot.indexStep,
                                                sum);
      }
    }
  }
  tally.flush();
}

template <FloatType kType, int kBits>
void measureRowsBy(const QuantizeParams& params, const uint8_t* src, int64_t channels, const QuantizeOutput& out,
                   const ErrorPlace& place, ErrorSum* sum) {
  if (params.blockSize == 32) return measureRowsOf<kType, kBits, 32>(params, src, channels, out, place, sum);
  return measureRowsOf<kType, kBits, 0>(params, src, channels, out, place, sum);
}

template <FloatType kType>
void measureRowsAs(const QuantizeParams& params, const uint8_t* src, int64_t channels, const QuantizeOutput& out,
                   const ErrorPlace& place, ErrorSum* sum) {
  if (params.bits == 2) return measureRowsBy<kType, 2>(params, src, channels, out, place, sum);
  if (params.bits == 4) return measureRowsBy<kType, 4>(params, src, channels, out, place, sum);
  return measureRowsBy<kType, 8>(params, src, channels, out, place, sum);
}

void measureRows(const QuantizeParams& params, const uint8_t* src, int64_t channels, const QuantizeOutput& out,
                 const ErrorPlace& place, ErrorSum* sum) {
  switch (params.type) {
    case FloatType::kFloat32:
      return measureRowsAs<FloatType::kFloat32>(params, src, channels, out, place, sum);
    case FloatType::kFloat16:
      return measureRowsAs<FloatType::kFloat16>(params, src, channels, out, place, sum);
    default:
      return measureRowsAs<FloatType::kBFloat16>(params, src, channels, out, place, sum);
  }
}

template <FloatType kType, int kBits>
void measureColumnsBy(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                      int64_t columns, const QuantizeOutput& out, const ErrorPlace& place, ErrorSum* sum) {
  if (params.blockSize == 32) {
    return measureColumnsOf<kType, kBits, 32>(params, src, rowStride, rows, columns, out, place, sum);
  }
  return measureColumnsOf<kType, kBits, 0>(params, src, rowStride, rows, columns, out, place, sum);
}

template <FloatType kType>
void measureColumnsAs(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                      int64_t columns, const QuantizeOutput& out, const ErrorPlace& place, ErrorSum* sum) {
  if (params.bits == 2) return measureColumnsBy<kType, 2>(params, src, rowStride, rows, columns, out, place, sum);
  if (params.bits == 4) return measureColumnsBy<kType, 4>(params, src, rowStride, rows, columns, out, place, sum);
  return measureColumnsBy<kType, 8>(params, src, rowStride, rows, columns, out, place, sum);
}

void measureColumns(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                    int64_t columns, const QuantizeOutput& out, const ErrorPlace& place, ErrorSum* sum) {
  switch (params.type) {
    case FloatType::kFloat32:
      return measureColumnsAs<FloatType::kFloat32>(params, src, rowStride, rows, columns, out, place, sum);
    case FloatType::kFloat16:
      return measureColumnsAs<FloatType::kFloat16>(params, src, rowStride, rows, columns, out, place, sum);
    default:
      return measureColumnsAs<FloatType::kBFloat16>(params, src, rowStride, rows, columns, out, place, sum);
  }
}

}  // namespace
}  // namespace lathe
