// Do two ranges hold the same elements, one of them possibly transposed? Bit patterns are compared, not numbers.
#include <cstring>

#include "kernels.h"

namespace lathe {

namespace {

// Side of the square that both operands are walked in, so that a transposed one uses its cache lines whole.
constexpr int64_t kSide = 64;

struct Operand {
  const uint8_t* data;
  int64_t rowStride;
  int64_t columnStride;
};

template <typename Bits>
Bits load(const Operand& from, int64_t row, int64_t column) {
  Bits bits;
  std::memcpy(&bits, from.data + row * from.rowStride + column * from.columnStride, sizeof bits);
  return bits;
}

// Counts first, without a branch; looks for the place only where something differs.
template <typename Bits>
void compareSquare(const Operand& a, const Operand& b, int64_t firstRow, int64_t rows, int64_t firstColumn,
                   int64_t columns, int64_t width, CompareResult* result) {
  int64_t different = 0;
  for (int64_t r = firstRow; r < firstRow + rows; r++) {
    for (int64_t c = firstColumn; c < firstColumn + columns; c++) different += load<Bits>(a, r, c) != load<Bits>(b, r, c);
  }
  if (different == 0) return;
  result->different += different;
  for (int64_t r = firstRow; r < firstRow + rows; r++) {
    for (int64_t c = firstColumn; c < firstColumn + columns; c++) {
      const int64_t index = r * width + c;
      if (result->firstIndex >= 0 && index >= result->firstIndex) break;
      if (load<Bits>(a, r, c) == load<Bits>(b, r, c)) continue;
      result->firstIndex = index;
    }
  }
}

template <typename Bits>
void compareAll(const Operand& a, const Operand& b, int64_t rows, int64_t columns, CompareResult* result) {
  const int64_t rowBytes = columns * static_cast<int64_t>(sizeof(Bits));
  const bool contiguousRows = a.columnStride == sizeof(Bits) && b.columnStride == sizeof(Bits);
  if (contiguousRows && a.rowStride == rowBytes && b.rowStride == rowBytes &&
      std::memcmp(a.data, b.data, static_cast<size_t>(rows * rowBytes)) == 0) {
    return;
  }
  if (contiguousRows) {
    for (int64_t r = 0; r < rows; r++) {
      const size_t byteLength = static_cast<size_t>(rowBytes);
      if (std::memcmp(a.data + r * a.rowStride, b.data + r * b.rowStride, byteLength) == 0) continue;
      compareSquare<Bits>(a, b, r, 1, 0, columns, columns, result);
    }
    return;
  }
  for (int64_t r = 0; r < rows; r += kSide) {
    for (int64_t c = 0; c < columns; c += kSide) {
      compareSquare<Bits>(a, b, r, rows - r < kSide ? rows - r : kSide, c, columns - c < kSide ? columns - c : kSide,
                          columns, result);
    }
  }
}

}  // namespace

void compareBits(uint32_t elementBytes, const uint8_t* a, int64_t aRowStride, int64_t aColumnStride, const uint8_t* b,
                 int64_t bRowStride, int64_t bColumnStride, int64_t rows, int64_t columns, int64_t firstRow,
                 CompareResult* result) {
  *result = {rows * columns, 0, -1};
  if (rows == 0 || columns == 0) return;
  const Operand left = {a, aRowStride, aColumnStride};
  const Operand right = {b, bRowStride, bColumnStride};
  switch (elementBytes) {
    case 1:
      compareAll<uint8_t>(left, right, rows, columns, result);
      break;
    case 2:
      compareAll<uint16_t>(left, right, rows, columns, result);
      break;
    case 4:
      compareAll<uint32_t>(left, right, rows, columns, result);
      break;
    default:
      compareAll<uint64_t>(left, right, rows, columns, result);
  }
  if (result->firstIndex >= 0) result->firstIndex += firstRow * columns;
}

}  // namespace lathe
