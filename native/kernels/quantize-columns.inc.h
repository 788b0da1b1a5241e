// Columns ([K, N]): one channel per lane. A line of 64 bytes is taken from each row of a block and kept in a small
// buffer, so that power-of-two row strides, which all fall into one cache set, are read once. Codes are collected as
// 32-bit words per channel and transposed on their way out, a cache line per channel for blocks up to 128 rows.
#pragma once

#include "quantize-block.inc.h"
#include "quantize-rows.inc.h"

namespace lathe {
namespace {

constexpr int64_t kLineBytes = 64;
// Rows whose codes are stored together: a multiple of every block size but the largest, which is stored by itself.
constexpr int64_t kStoredRows = 128;
constexpr int64_t kMaxStoredBlocks = kStoredRows / 16;

// What kLanes channels have collected of up to kStoredRows rows (or one block of more).
template <int kBits>
struct Collected {
  Ints words[kMaxBlockSize * kBits / 32];
  alignas(64) uint8_t scales[kMaxStoredBlocks][kLanes * 4];
  alignas(64) int32_t zeroPoints[kMaxStoredBlocks][kLanes];
};

// Copies the first `columns` elements of `rows` rows into lines; missing columns become 0, missing rows up to
// blockSize repeat the first one, which changes no extreme.
template <FloatType kType>
inline Suspects stage(Suspects suspects, const uint8_t* src, int64_t rowStride, int64_t rows, int64_t blockSize,
                      int64_t columns, uint8_t* lines) {
  const int64_t byteLength = columns * kElementBytes<kType>;
  if (byteLength == kLineBytes) {
    for (int64_t row = 0; row < rows; row++) {
      const uint8_t* from = src + row * rowStride;
      suspects = noteAll<kType>(suspects, from, kLineBytes);
      __builtin_memcpy(lines + row * kLineBytes, from, kLineBytes);
    }
  } else {
    __builtin_memset(lines, 0, rows * kLineBytes);
    for (int64_t row = 0; row < rows; row++) {
      __builtin_memcpy(lines + row * kLineBytes, src + row * rowStride, byteLength);
      suspects = noteAll<kType>(suspects, lines + row * kLineBytes, kLineBytes);
    }
  }
  for (int64_t row = rows; row < blockSize; row++) __builtin_memcpy(lines + row * kLineBytes, lines, kLineBytes);
  return suspects;
}

// Sets the codes of rows `rows` and up of a block to 0.
template <int kBits>
inline void clearPastEnd(Ints* words, int64_t rows, int64_t blockSize) {
  constexpr int64_t kPerWord = 32 / kBits;
  for (int64_t word = rows / kPerWord; word < blockSize / kPerWord; word++) {
    const int64_t kept = rows - word * kPerWord;
    words[word] = kept <= 0 ? zeroInts() : bitAnd(words[word], broadcastInt((1 << (kept * kBits)) - 1));
  }
}

template <FloatType kType, int kBits, int kIndex = 0>
inline Ints encodeWord(Ints word, const uint8_t* lines, const BlockCoder& coder, Floats top) {
  if constexpr (kIndex == 32 / kBits) {
    return word;
  } else {
    const Floats x = load<kType>(lines + kIndex * kLineBytes);
    const Ints codes = encode(x, coder.reciprocal, coder.zeroPoint, top);
    return encodeWord<kType, kBits, kIndex + 1>(orShifted<kIndex * kBits>(word, codes), lines, coder, top);
  }
}

// Quantizes block `block` of what `to` collects, from kLanes columns of the staged lines.
template <FloatType kType, int kBits>
inline void quantizeStaged(const QuantizeParams& params, const uint8_t* lines, int64_t block, int64_t rows,
                           Collected<kBits>* to) {
  const int64_t blockSize = params.blockSize;
  constexpr int kChains = 4;
  Floats lows[kChains], highs[kChains];
  for (int i = 0; i < kChains; i++) lows[i] = highs[i] = load<kType>(lines + i * kLineBytes);
  for (int64_t row = kChains; row < blockSize; row += kChains) {
    for (int i = 0; i < kChains; i++) {
      const Floats x = load<kType>(lines + (row + i) * kLineBytes);
      lows[i] = min(lows[i], x);
      highs[i] = max(highs[i], x);
    }
  }
  const Floats low = min(min(lows[0], lows[1]), min(lows[2], lows[3]));
  const Floats high = max(max(highs[0], highs[1]), max(highs[2], highs[3]));
  const BlockCoder coder =
      makeCoder<kType>(params.symmetric, kBits, low, high, to->scales[block], to->zeroPoints[block],
                       [&](float* firstElements) { storeFloats(firstElements, load<kType>(lines)); });

  const Floats top = broadcast(static_cast<float>((1 << kBits) - 1));
  constexpr int64_t kPerWord = 32 / kBits;
  Ints* words = to->words + block * blockSize / kPerWord;
  for (int64_t word = 0; word < blockSize / kPerWord; word++) {
    words[word] = encodeWord<kType, kBits>(zeroInts(), lines + word * kPerWord * kLineBytes, coder, top);
  }
  if (rows < blockSize) clearPastEnd<kBits>(words, rows, blockSize);
}

// Writes what `lanes` channels have collected: `blocks` blocks, the first of which is block `first` of the strip.
template <FloatType kType, int kBits>
inline void storeCollected(const QuantizeParams& params, const Collected<kBits>& from, int64_t first, int64_t blocks,
                           int lanes, int64_t channel, const QuantizeOutput& out) {
  const int64_t blob = params.blockSize * kBits / 8;
  uint8_t* codes = out.codes + channel * out.codesStride + first * blob;
  const int64_t words = blocks * blob / 4;
  int64_t word = 0;
  for (; word + kLanes <= words; word += kLanes) {
    storeTransposed(from.words + word, codes + word * 4, out.codesStride, lanes);
  }
  if (word < words) {
    Ints square[kLanes] = {};
    for (int i = 0; i < words - word; i++) square[i] = from.words[word + i];
    alignas(64) uint8_t transposed[kLanes * kLanes * 4];
    storeTransposed(square, transposed, kLanes * 4, kLanes);
    for (int lane = 0; lane < lanes; lane++) {
      __builtin_memcpy(codes + lane * out.codesStride + word * 4, transposed + lane * kLanes * 4, (words - word) * 4);
    }
  }
  constexpr int64_t kBytes = kElementBytes<kType>;
  for (int lane = 0; lane < lanes; lane++) {
    uint8_t* scales = out.scales + (channel + lane) * out.scalesStride + first * kBytes;
    for (int64_t block = 0; block < blocks; block++) {
      __builtin_memcpy(scales + block * kBytes, from.scales[block] + lane * kBytes, kBytes);
    }
  }
  if (params.symmetric) return;
  for (int lane = 0; lane < lanes; lane++) {
    int32_t zeroPoints[kMaxStoredBlocks];
    for (int64_t block = 0; block < blocks; block++) zeroPoints[block] = from.zeroPoints[block][lane];
    storeZeroPoints(kBits, out.zeroPoints + (channel + lane) * out.zeroPointsStride, first, blocks, zeroPoints);
  }
}

template <FloatType kType, int kBits>
ElementIndex quantizeColumnsOf(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                               int64_t columns, const QuantizeOutput& out) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  constexpr int64_t kLineColumns = kLineBytes / kBytes;
  constexpr int64_t kVectors = kLineColumns / kLanes;
  const int64_t blockSize = params.blockSize;
  const int64_t storedBlocks = blockSize < kStoredRows ? kStoredRows / blockSize : 1;
  const int64_t blocks = (rows + blockSize - 1) / blockSize;
  alignas(64) uint8_t lines[kMaxBlockSize * kLineBytes];
  Collected<kBits> collected[kVectors];
  Suspects suspects = noSuspects();
  for (int64_t column = 0; column < columns; column += kLineColumns) {
    const int64_t used = columns - column < kLineColumns ? columns - column : kLineColumns;
    for (int64_t first = 0; first < blocks; first += storedBlocks) {
      const int64_t count = blocks - first < storedBlocks ? blocks - first : storedBlocks;
      for (int64_t block = 0; block < count; block++) {
        const int64_t row = (first + block) * blockSize;
        const int64_t present = rows - row < blockSize ? rows - row : blockSize;
        suspects = stage<kType>(suspects, src + row * rowStride + column * kBytes, rowStride, present, blockSize, used,
                                lines);
        for (int64_t vector = 0; vector * kLanes < used; vector++) {
          quantizeStaged<kType, kBits>(params, lines + vector * kLanes * kBytes, block, present, &collected[vector]);
        }
      }
      for (int64_t vector = 0; vector * kLanes < used; vector++) {
        const int64_t left = used - vector * kLanes;
        storeCollected<kType, kBits>(params, collected[vector], first, count,
                                     static_cast<int>(left < kLanes ? left : kLanes), column + vector * kLanes, out);
      }
    }
  }
  return hasNonFinite<kType>(suspects) ? findNonFinite<kType>(src, rowStride, rows, columns) : -1;
}

ElementIndex quantizeColumns(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                             int64_t columns, const QuantizeOutput& out) {
  const bool wide = params.bits == 8;
  switch (params.type) {
    case FloatType::kFloat32:
      return wide ? quantizeColumnsOf<FloatType::kFloat32, 8>(params, src, rowStride, rows, columns, out)
                  : quantizeColumnsOf<FloatType::kFloat32, 4>(params, src, rowStride, rows, columns, out);
    case FloatType::kFloat16:
      return wide ? quantizeColumnsOf<FloatType::kFloat16, 8>(params, src, rowStride, rows, columns, out)
                  : quantizeColumnsOf<FloatType::kFloat16, 4>(params, src, rowStride, rows, columns, out);
    default:
      return wide ? quantizeColumnsOf<FloatType::kBFloat16, 8>(params, src, rowStride, rows, columns, out)
                  : quantizeColumnsOf<FloatType::kBFloat16, 4>(params, src, rowStride, rows, columns, out);
  }
}

}  // namespace
}  // namespace lathe
