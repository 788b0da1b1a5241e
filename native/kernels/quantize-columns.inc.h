// Columns ([K, N]): one channel per lane. A line of 64 bytes is taken from each row of a block and kept in a small
// buffer, so that power-of-two row strides, which all fall into one cache set, are read once. Codes are collected as
// 32-bit words per channel; store-columns.inc.h transposes them on their way out.
#pragma once

#include "quantize-block.inc.h"
#include "store-columns.inc.h"

namespace lathe {
namespace {

template <FloatType kType>
constexpr int64_t kLineVectors = kLineBytes / kElementBytes<kType> / kLanes;

// One block of a line's columns: its elements as they lie in memory, and their extremes.
struct Staged {
  alignas(64) uint8_t lines[kMaxBlockSize * kLineBytes];
  alignas(64) uint8_t low[kLineBytes];
  alignas(64) uint8_t high[kLineBytes];
};

// Stages the first `columns` elements of `rows` rows. Missing columns become 0, missing rows up to blockSize too; these
// do not count for the extremes.
template <FloatType kType>
inline void stage(const uint8_t* src, int64_t rowStride, int64_t rows, int64_t blockSize, int64_t columns,
                  Watch<kType>* watch, Staged* to) {
  constexpr int kRegisters = kLineBytes / kRegisterBytes;
  const int64_t byteLength = columns * kElementBytes<kType>;
  if (byteLength < kLineBytes) {
    __builtin_memset(to->lines, 0, rows * kLineBytes);
    for (int64_t row = 0; row < rows; row++) {
      __builtin_memcpy(to->lines + row * kLineBytes, src + row * rowStride, byteLength);
    }
    src = to->lines;
    rowStride = kLineBytes;
  }
  Ints low[kRegisters], high[kRegisters];
  for (int i = 0; i < kRegisters; i++) {
    high[i] = loadInts(src + i * kRegisterBytes);
    low[i] = turned<kType>(high[i]);
  }
  for (int64_t row = 0; row < rows; row++) {
    const uint8_t* const from = src + row * rowStride;
    __builtin_prefetch(from + kLineBytes);  // the next line of columns; past the end it does nothing
    for (int i = 0; i < kRegisters; i++) {
      const Ints x = loadInts(from + i * kRegisterBytes);
      storeInts(to->lines + row * kLineBytes + i * kRegisterBytes, x);
      watch->elements(x);
      low[i] = lower<kType>(low[i], turned<kType>(x));
      high[i] = upper<kType>(high[i], x);
    }
  }
  for (int i = 0; i < kRegisters; i++) {
    watch->extremes(low[i], high[i]);
    storeInts(to->low + i * kRegisterBytes, turned<kType>(low[i]));
    storeInts(to->high + i * kRegisterBytes, high[i]);
  }
  if (rows < blockSize) __builtin_memset(to->lines + rows * kLineBytes, 0, (blockSize - rows) * kLineBytes);
}

// Sets the codes of rows `rows` and up of a block to 0.
template <int kBits>
inline void clearPastEnd(Ints* words, int64_t rows, int64_t blockSize) {
  constexpr int64_t kPerWord = 32 / kBits;
  for (int64_t word = rows / kPerWord; word < blockSize / kPerWord; word++) {
    const int64_t kept = rows - word * kPerWord;
    words[word] = kept <= 0 ? broadcastInt(0) : bitAnd(words[word], broadcastInt((1 << (kept * kBits)) - 1));
  }
}

// Finds what encodes block `block` of what `to` collects, the kLanes columns that begin `offset` bytes into the lines.
template <FloatType kType, int kBits>
inline BlockCoder prepareStaged(const QuantizeParams& params, const Staged& staged, int64_t offset, int64_t block,
                                int64_t rows, Collected<kBits>* to) {
  const uint8_t* const lines = staged.lines + offset;
  const auto stageUnits = [&](Floats inverse, Ints* units) {
    for (const uint8_t* line = lines; line < lines + params.blockSize * kLineBytes; line += 2 * kLineBytes) {
      *units++ = unitPair(load<kType>(line), load<kType>(line + kLineBytes), inverse);
    }
  };
  const BlockCoder coder = makeCoder<kType, kBits>(params, rows, load<kType>(staged.low + offset),
                                                   load<kType>(staged.high + offset), to->scales[block],
                                                   [&] { return load<kType>(lines); }, stageUnits);
  storeInts(to->zeroPoints[block], truncate(coder.offset));
  return coder;
}

// Packs the codes of 32 / kBits rows into one 32-bit word per lane, the first row lowest, for two vectors of lanes at a
// time: `row` gives narrowInts of both vectors' codes of a row.
template <int kBits, typename Row>
inline void packWords(Row row, Ints* first, Ints* second) {
  constexpr int kPerByte = 8 / kBits;
  const Ints top = broadcastPair(static_cast<int16_t>(((1 << kBits) - 1) * 0x101));
  Ints bytes[2];  // bytes 0 and 2 of the words, and bytes 1 and 3
  for (int byte = 0; byte < 2; byte++) {
    for (int i = kPerByte - 1; i >= 0; i--) {
      const Ints codes = narrowPairs(row(byte * kPerByte + i), row((byte + 2) * kPerByte + i));
      const Ints limited = kBits == 8 ? codes : minBytes(codes, top);
      bytes[byte] = i == kPerByte - 1 ? limited : addInts(shiftLeft<kBits>(bytes[byte]), limited);
    }
  }
  const Ints lower = zipLowerBytes(bytes[0], bytes[1]), upper = zipUpperBytes(bytes[0], bytes[1]);
  *first = zipLowerPairs(lower, upper);
  *second = zipUpperPairs(lower, upper);
}

// Writes the codes of a block of two neighbouring vectors of columns, the first of which begins at `lines`.
template <FloatType kType, int kBits, bool kExact>
inline void encodeStaged(const uint8_t* lines, const BlockCoder* coders, int64_t wordCount, Ints* first, Ints* second) {
  const Floats top = broadcast(static_cast<float>((1 << kBits) - 1));
  for (int64_t word = 0; word < wordCount; word++, lines += 32 / kBits * kLineBytes) {
    const auto row = [&](int64_t i) {
      Floats x[2];
      loadTwo<kType, kExact>(lines + i * kLineBytes, x);
      return narrowInts(encode<kType>(x[0], coders[0], top), encode<kType>(x[1], coders[1], top));
    };
    packWords<kBits>(row, first + word, second + word);
  }
}

// The same for the only vector of a line: two words of it at a time.
template <FloatType kType, int kBits>
inline void encodeStaged(const uint8_t* lines, const BlockCoder& coder, int64_t wordCount, Ints* words) {
  constexpr int64_t kWordBytes = 32 / kBits * kLineBytes;
  const Floats top = broadcast(static_cast<float>((1 << kBits) - 1));
  for (int64_t word = 0; word < wordCount; word += 2) {
    const int64_t next = word + 1 < wordCount ? word + 1 : word;
    const auto row = [&](int64_t i) {
      return narrowInts(encode<kType>(load<kType>(lines + word * kWordBytes + i * kLineBytes), coder, top),
                        encode<kType>(load<kType>(lines + next * kWordBytes + i * kLineBytes), coder, top));
    };
    packWords<kBits>(row, words + word, words + next);
  }
}

// Quantizes block `block` of what the vectors of columns at `to` collect: two of them, or the only one of a line.
template <FloatType kType, int kBits>
inline void quantizeStaged(const QuantizeParams& params, const Staged& staged, int64_t offset, int64_t block,
                           int64_t rows, Collected<kBits>* to) {
  constexpr int kVectors = kLineVectors<kType> == 1 ? 1 : 2;
  const int64_t wordCount = params.blockSize * kBits / 32;
  const uint8_t* const lines = staged.lines + offset;
  Ints* words[kVectors];
  BlockCoder coders[kVectors];
  for (int i = 0; i < kVectors; i++) {
    coders[i] = prepareStaged<kType>(params, staged, offset + i * kLanes * kElementBytes<kType>, block, rows, to + i);
    words[i] = to[i].words + block * wordCount;
  }
  if constexpr (kVectors == 1) {
    encodeStaged<kType, kBits>(lines, coders[0], wordCount, words[0]);
  } else if (kLoadsExactly<kType> || needsExact<kType>(coders[0]) || needsExact<kType>(coders[1])) {
    encodeStaged<kType, kBits, true>(lines, coders, wordCount, words[0], words[1]);
  } else {
    encodeStaged<kType, kBits, false>(lines, coders, wordCount, words[0], words[1]);
  }
  if (rows == params.blockSize) return;
  for (Ints* const each : words) clearPastEnd<kBits>(each, rows, params.blockSize);
}

template <FloatType kType, int kBits>
ElementIndex quantizeColumnsOf(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                               int64_t columns, const QuantizeOutput& out) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  constexpr int64_t kLineColumns = kLineBytes / kBytes;
  const int64_t blockSize = params.blockSize;
  const int64_t storedBlocks = blockSize < kStoredRows ? kStoredRows / blockSize : 1;
  const int64_t blocks = (rows + blockSize - 1) / blockSize;
  Staged staged;
  Collected<kBits> collected[kLineVectors<kType>] = {};
  Watch<kType> watch = {broadcastInt(0)};
  for (int64_t column = 0; column < columns; column += kLineColumns) {
    const int64_t used = columns - column < kLineColumns ? columns - column : kLineColumns;
    for (int64_t first = 0; first < blocks; first += storedBlocks) {
      const int64_t count = blocks - first < storedBlocks ? blocks - first : storedBlocks;
      for (int64_t block = 0; block < count; block++) {
        const int64_t row = (first + block) * blockSize;
        const int64_t present = rows - row < blockSize ? rows - row : blockSize;
        stage<kType>(src + row * rowStride + column * kBytes, rowStride, present, blockSize, used, &watch, &staged);
        for (int64_t vector = 0; vector * kLanes < used; vector += 2) {
          quantizeStaged<kType, kBits>(params, staged, vector * kLanes * kBytes, block, present, &collected[vector]);
        }
      }
      for (int64_t vector = 0; vector * kLanes < used; vector++) {
        const int64_t left = used - vector * kLanes;
        storeCollected<kType, kBits>(params, collected[vector], first, count,
                                     static_cast<int>(left < kLanes ? left : kLanes), column + vector * kLanes, out);
      }
    }
  }
  return watch.alarmed() ? findNonFinite<kType>(src, rowStride, rows, columns) : -1;
}

template <FloatType kType>
ElementIndex quantizeColumnsAs(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                               int64_t columns, const QuantizeOutput& out) {
  if (params.bits == 2) return quantizeColumnsOf<kType, 2>(params, src, rowStride, rows, columns, out);
  if (params.bits == 4) return quantizeColumnsOf<kType, 4>(params, src, rowStride, rows, columns, out);
  return quantizeColumnsOf<kType, 8>(params, src, rowStride, rows, columns, out);
}

ElementIndex quantizeColumns(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                             int64_t columns, const QuantizeOutput& out) {
  switch (params.type) {
    case FloatType::kFloat32:
      return quantizeColumnsAs<FloatType::kFloat32>(params, src, rowStride, rows, columns, out);
    case FloatType::kFloat16:
      return quantizeColumnsAs<FloatType::kFloat16>(params, src, rowStride, rows, columns, out);
    default:
      return quantizeColumnsAs<FloatType::kBFloat16>(params, src, rowStride, rows, columns, out);
  }
}

}  // namespace
}  // namespace lathe
