// The quantizers for WebAssembly: what addon.cc is for Node. A call is numbers that JavaScript leaves in `numbers`;
// pointers are offsets in the memory, of which everything behind `heapStart` is JavaScript's. See src/wasm.ts.
#include "kernels.h"

namespace {

// In this order.
struct Call {
  double method, type, bits, blockSize, symmetric, k;
  // Rows: `rows` channels of k elements. Columns: `rows` rows of `columns` channels.
  double isColumns, source, rowStride, rows, columns;
  double codes, codesStride, scales, scalesStride, zeroPoints, zeroPointsStride;
  // Of what is measured: ErrorPlace.
  double first, channelStride;
};

union {
  Call call;
  double numbers[lathe::kErrorFields];
} border;
static_assert(sizeof border.call <= sizeof border.numbers);

extern "C" uint8_t __heap_base;

uint8_t* pointer(double offset) { return reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(offset)); }
int64_t integer(double number) { return static_cast<int64_t>(number); }
uint32_t word(double number) { return static_cast<uint32_t>(number); }

lathe::QuantizeParams params() {
  const Call& c = border.call;
  return {static_cast<lathe::QuantizeMethod>(word(c.method)), static_cast<lathe::FloatType>(word(c.type)),
          word(c.bits), word(c.blockSize), c.symmetric != 0, integer(c.k)};
}

lathe::QuantizeOutput output() {
  const Call& c = border.call;
  return {pointer(c.codes),      integer(c.codesStride), pointer(c.scales),
          integer(c.scalesStride), pointer(c.zeroPoints),  integer(c.zeroPointsStride)};
}

}  // namespace

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

EXPORT(heapStart) uintptr_t heapStart() { return reinterpret_cast<uintptr_t>(&__heap_base); }
EXPORT(numbers) double* numbers() { return border.numbers; }

// Gives the index of the first element that cannot be quantized, or -1.
EXPORT(quantize) double quantize() {
  const lathe::KernelTable& table = *lathe::kernelTable(nullptr);
  const Call& c = border.call;
  const lathe::ElementIndex hit =
      c.isColumns != 0 ? lathe::quantizeColumnsWith(table, params(), pointer(c.source), integer(c.rowStride),
                                                    integer(c.rows), integer(c.columns), output())
                       : lathe::quantizeRowsWith(table, params(), pointer(c.source), integer(c.rows), output());
  return static_cast<double>(hit);
}

// Measures what `quantize` has just made; leaves the packed ErrorSum in `numbers`.
EXPORT(measure) void measure() {
  const lathe::KernelTable& table = *lathe::kernelTable(nullptr);
  const Call& c = border.call;
  const lathe::ErrorPlace place = {integer(c.first), integer(c.channelStride)};
  lathe::ErrorSum sum;
  if (c.isColumns != 0) {
    table.measureColumns(params(), pointer(c.source), integer(c.rowStride), integer(c.rows), integer(c.columns),
                         output(), place, &sum);
  } else {
    table.measureRows(params(), pointer(c.source), integer(c.rows), output(), place, &sum);
  }
  lathe::packError(sum, border.numbers);
}
