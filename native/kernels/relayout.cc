// Packed elements in another layout. Defined once for every instruction set: it is bound by memory.
#include <cstring>

#include "kernels.h"

namespace lathe {

namespace {

// A block of merged codes waits in the first-level cache, from which each column is written a whole cache line at a
// time: columns may be far apart, and often by a power of two.
constexpr int64_t kTall = 64;
constexpr int64_t kLine = 256;

// The top bit of each element of a byte; wider elements have theirs in their last byte.
uint8_t flipMask(uint32_t bits) { return bits == 2 ? 0xaa : bits == 4 ? 0x88 : 0x80; }

// Rows [0, count) of one byte of output, unpacked to a byte a column: code i of the byte from row i.
template <int Bits>
void mergeRows(const uint8_t* src, int64_t rowStride, int64_t count, int64_t columns, uint8_t unused, uint8_t* line) {
  constexpr int kPer = 8 / Bits;
  constexpr uint32_t kOnes = (1u << Bits) - 1;
  const uint8_t* rows[kPer];
  for (int i = 0; i < kPer; i++) rows[i] = src + (i < count ? i : 0) * rowStride;
  uint32_t absent = 0;
  uint32_t present = 0;
  for (int i = 0; i < kPer; i++) {
    const uint32_t place = kOnes << (i * Bits);
    absent |= i < count ? 0 : place & unused;
    present |= i < count ? place : 0;
  }
  const int64_t whole = columns / kPer;
  for (int64_t byte = 0; byte < whole; byte++) {
    for (int j = 0; j < kPer; j++) {
      uint32_t packed = 0;
      for (int i = 0; i < kPer; i++) packed |= (uint32_t{rows[i][byte]} >> (j * Bits) & kOnes) << (i * Bits);
      line[byte * kPer + j] = static_cast<uint8_t>((packed & present) | absent);
    }
  }
  for (int64_t column = whole * kPer; column < columns; column++) {
    const int shift = static_cast<int>(column % kPer) * Bits;
    uint32_t packed = 0;
    for (int i = 0; i < kPer; i++) packed |= (uint32_t{rows[i][whole]} >> shift & kOnes) << (i * Bits);
    line[column] = static_cast<uint8_t>((packed & present) | absent);
  }
}

// Swaps rows and columns of 8 x 8 bytes, each row in one word, its first byte lowest.
void transpose8(uint64_t (&rows)[8]) {
  const auto exchange = [&rows](int a, int b, int shift, uint64_t mask) {
    const uint64_t swapped = ((rows[a] >> shift) ^ rows[b]) & mask;
    rows[b] ^= swapped;
    rows[a] ^= swapped << shift;
  };
  for (int i = 0; i < 8; i += 2) exchange(i, i + 1, 8, 0x00ff00ff00ff00ffu);
  for (int i = 0; i < 8; i += 4) {
    exchange(i, i + 2, 16, 0x0000ffff0000ffffu);
    exchange(i + 1, i + 3, 16, 0x0000ffff0000ffffu);
  }
  for (int i = 0; i < 4; i++) exchange(i, i + 4, 32, 0x00000000ffffffffu);
}

uint64_t loadWord(const uint8_t* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
  return word;
}

void storeWord(uint8_t* to, uint64_t word) {
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
  std::memcpy(to, &word, sizeof word);
}

template <int Bits>
void transposePacked(bool flip, const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns, uint8_t* out,
                     int64_t columnStride) {
  constexpr int64_t kPer = 8 / Bits;
  const uint8_t mask = flip ? flipMask(Bits) : 0;
  const uint64_t maskWord = 0x0101010101010101u * mask;
  // Code 2^(bits-1) in every slot, whichever sign the codes have.
  const uint8_t unused = static_cast<uint8_t>(flipMask(Bits) ^ mask);
  const int64_t bytes = (rows + kPer - 1) / kPer;
  uint8_t lines[kTall][kLine];
  for (int64_t first = 0; first < columns; first += kLine) {
    const int64_t width = columns - first < kLine ? columns - first : kLine;
    for (int64_t byte = 0; byte < bytes; byte += kTall) {
      const int64_t height = bytes - byte < kTall ? bytes - byte : kTall;
      for (int64_t i = 0; i < height; i++) {
        const int64_t row = (byte + i) * kPer;
        const int64_t count = rows - row < kPer ? rows - row : kPer;
        mergeRows<Bits>(src + row * rowStride + first / kPer, rowStride, count, width, unused, lines[i]);
      }
      uint8_t* const place = out + first * columnStride + byte;
      const int64_t wholeColumns = width / 8 * 8;
      const int64_t wholeBytes = height / 8 * 8;
      for (int64_t column = 0; column < wholeColumns; column += 8) {
        for (int64_t i = 0; i < wholeBytes; i += 8) {
          uint64_t block[8];
          for (int j = 0; j < 8; j++) block[j] = loadWord(lines[i + j] + column);
          transpose8(block);
          for (int j = 0; j < 8; j++) storeWord(place + (column + j) * columnStride + i, block[j] ^ maskWord);
        }
      }
      for (int64_t column = 0; column < width; column++) {
        uint8_t* const to = place + column * columnStride;
        for (int64_t i = column < wholeColumns ? wholeBytes : 0; i < height; i++) to[i] = lines[i][column] ^ mask;
      }
    }
  }
}

// Elements of whole bytes, in squares that stay in the first-level cache.
template <typename Word>
void transposeWide(bool flip, const uint8_t* src, int64_t rowStride, int64_t rows, int64_t columns, uint8_t* out,
                   int64_t columnStride) {
  constexpr int64_t kSquare = 32;
  constexpr Word kTop = static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1));
  const Word mask = flip ? kTop : 0;
  for (int64_t row = 0; row < rows; row += kSquare) {
    const int64_t rowEnd = row + kSquare < rows ? row + kSquare : rows;
    for (int64_t column = 0; column < columns; column += kSquare) {
      const int64_t columnEnd = column + kSquare < columns ? column + kSquare : columns;
      for (int64_t c = column; c < columnEnd; c++) {
        for (int64_t r = row; r < rowEnd; r++) {
          Word word;
          std::memcpy(&word, src + r * rowStride + c * static_cast<int64_t>(sizeof word), sizeof word);
          word ^= mask;
          std::memcpy(out + c * columnStride + r * static_cast<int64_t>(sizeof word), &word, sizeof word);
        }
      }
    }
  }
}

}  // namespace

void relayoutFlat(const RelayoutParams& params, const uint8_t* src, int64_t byteLength, uint8_t* out) {
  const int64_t step = params.bits > 8 ? params.bits / 8 : 1;
  if (!params.flip) {
    std::memcpy(out, src, static_cast<size_t>(byteLength));
    return;
  }
  const uint8_t mask = flipMask(params.bits);
  if (step == 1) {
    for (int64_t i = 0; i < byteLength; i++) out[i] = src[i] ^ mask;
    return;
  }
  for (int64_t i = 0; i < byteLength; i++) out[i] = src[i] ^ (i % step == step - 1 ? mask : 0);
}

void relayoutTransposed(const RelayoutParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                        int64_t columns, uint8_t* out, int64_t columnStride) {
  switch (params.bits) {
    case 2:
      return transposePacked<2>(params.flip, src, rowStride, rows, columns, out, columnStride);
    case 4:
      return transposePacked<4>(params.flip, src, rowStride, rows, columns, out, columnStride);
    case 8:
      return transposePacked<8>(params.flip, src, rowStride, rows, columns, out, columnStride);
    case 16:
      return transposeWide<uint16_t>(params.flip, src, rowStride, rows, columns, out, columnStride);
    default:
      return transposeWide<uint32_t>(params.flip, src, rowStride, rows, columns, out, columnStride);
  }
}

}  // namespace lathe
