// The numeric kernels: plain C++17, no Node-API, no I/O, no allocation. Each is compiled once per instruction set
// (plain, AVX2, AVX-512) from one source and chosen at run time; all are bit-identical with the TypeScript
// references in src/kernels. Built with -ffp-contract=off and without fast-math.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

enum class FloatType : uint32_t { kFloat32 = 1, kFloat16 = 10, kBFloat16 = 16 };  // ONNX TensorProto.DataType

// How the scale and zero point of a block are chosen. kRtn: from its extremes, ONNX Runtime's own arithmetic
// (MlasQuantizeBlockwise). kSearch: the pair with the least squared error among those around it; kKQuant: the same
// with elements weighted by rms + |x|. The rest: what Olive's passes compute, see OliveMethod in src/kernels/kernel.ts.
enum class QuantizeMethod : uint32_t {
  kRtn = 0,
  kSearch = 1,
  kKQuant = 2,
  kOliveRtn = 3,
  kOliveGather = 4,
  kOliveKQuant = 5,
  kOliveKQuantSingle = 6,
  kOliveInt8 = 7,
};

// Blockwise quantization: an element becomes the code nearest to it.
// A weight is N output channels of K elements; each channel is cut into kBlocks = ceil(K / blockSize) blocks.
// Codes are packed low bits first, blockSize * bits / 8 bytes per block. Every byte is written; slots past the last
// element are 0, where ONNX Runtime may repeat an older code; kOliveGather has no such slots but the last byte's.
// Scales have the source's type. Zero points (asymmetric only) are packed per channel, unused slots 2^(bits-1).
struct QuantizeParams {
  QuantizeMethod method;
  FloatType type;
  uint32_t bits;       // 2, 4 or 8
  uint32_t blockSize;  // 16, 32, 64, 128 or 256
  bool symmetric;
  int64_t k;  // elements per channel
};

// Where the outputs of channel 0, first block go, and how far the next channel is, in bytes.
struct QuantizeOutput {
  uint8_t* codes;
  int64_t codesStride;
  uint8_t* scales;
  int64_t scalesStride;
  uint8_t* zeroPoints;  // null when symmetric
  int64_t zeroPointsStride;
};

// Result of a kernel over one tile: -1, or the index (in source order within the tile) of the first element that cannot
// be quantized: NaN, infinity and, of fp32 and bf16, magnitudes from 2^127 on, where the range of a block might exceed
// binary32 and its scale be infinite. (An fp16 scale is at most the largest element: its code is at least 1 off zero.)
// Outputs are unspecified after such an element.
using ElementIndex = int64_t;

// How far the numbers of a weight are from those that codes stand for; src/kernels/measure.ts defines it. Sums are exact
// integers of 32-bit digits, digit 0 counting 2^-320, so that they can be added in any order.
constexpr int kSumDigits = 20;
struct ExactSum {
  int64_t digits[kSumDigits] = {};

  // Adds a number that is not negative, a multiple of 2^-320 and below 2^300. After 2^28 of them, `carry`.
  void add(double value);
  void add(const ExactSum& other);
  // Makes every digit smaller than 2^32.
  void carry();
};
struct ErrorPeak {
  double value = 0;
  int64_t index = -1;  // of the first element with it in the whole weight

  void raise(double other, int64_t otherIndex);
};
struct ErrorSum {
  ExactSum error;   // of squared differences
  ExactSum signal;  // of squared numbers
  int64_t nonFinite = 0;  // elements left out, because one of the two is not finite and not the same as the other
  ErrorPeak largest;      // difference
  ErrorPeak worst;        // error of a block / its signal

  void add(const ErrorSum& other);
};
// An ErrorSum as numbers: digits of error and signal, nonFinite, largest, its index, worst, its index.
constexpr size_t kErrorFields = 2 * kSumDigits + 5;
void packError(const ErrorSum& sum, double* fields);

// Where a tile lies in its weight: element i of its channel c has the index `first` + c * `channelStride` + i.
struct ErrorPlace {
  int64_t first;
  int64_t channelStride;
};

// Rounding floating-point elements to another type, to nearest, ties to even; subnormals are kept. NaN becomes the
// quiet NaN without sign and payload of the target, infinity stays.
struct CastParams {
  FloatType from;
  FloatType to;   // another type
  bool saturate;  // finite elements beyond the target's range become its largest number, not infinity
};

// What a cast takes from elements that are neither NaN nor infinite.
struct CastLoss {
  int64_t overflowed;  // beyond the target's range
  int64_t zeroed;      // not zero before
  int64_t subnormal;
  uint32_t peak;       // largest magnitude, as the bits of a binary32
};

// One entry per instruction set.
struct KernelTable {
  const char* name;  // "plain", "avx2", "avx512"

  // `src`: `channels` contiguous rows of params.k elements ([N, K] layout).
  ElementIndex (*quantizeRows)(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                               const QuantizeOutput& out);

  // `src`: `rows` rows (k indices) of `columns` channels, rows `rowStride` bytes apart ([K, N] layout). The strip
  // starts at a block whose zero point starts a byte; `rows` is a multiple of 8 / bits * blockSize except in the last
  // strip of the tensor. `out` points at the strip's first block in each channel. Fastest with rows 64-byte aligned and
  // a stride that is no large power of two; uses up to 64 KiB of stack.
  ElementIndex (*quantizeColumns)(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                                  int64_t columns, const QuantizeOutput& out);

  // Measure what the two above have just done: the same arguments, `out` being read. Every number must be finite.
  void (*measureRows)(const QuantizeParams& params, const uint8_t* src, int64_t channels, const QuantizeOutput& out,
                      const ErrorPlace& place, ErrorSum* sum);
  void (*measureColumns)(const QuantizeParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                         int64_t columns, const QuantizeOutput& out, const ErrorPlace& place, ErrorSum* sum);

  // Measures `count` blocks of any numbers: `blockSize` exact and as many found ones of each, one block after another.
  // The first elements of the blocks have the indices `index` + i * `indexStep`. Past the end of a block that is cut
  // short both are 0.
  void (*measureBlocks)(const float* exact, const float* found, int64_t blockSize, int count, int64_t index,
                        int64_t indexStep, ErrorSum* sum);

  // Casts `count` elements. Neither pointer need be aligned.
  void (*castFloats)(const CastParams& params, const uint8_t* src, int64_t count, uint8_t* out);
  // Adds what that would take from them to `loss`.
  void (*measureCast)(const CastParams& params, const uint8_t* src, int64_t count, CastLoss* loss);

  // The same for Olive's methods but kOliveRtn.
  ElementIndex (*quantizeOliveRows)(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                                    const QuantizeOutput& out);
  ElementIndex (*quantizeOliveColumns)(const QuantizeParams& params, const uint8_t* src, int64_t rowStride,
                                       int64_t rows, int64_t columns, const QuantizeOutput& out);
};

// By the kernels of a table that the method calls for.
ElementIndex quantizeRowsWith(const KernelTable& table, const QuantizeParams& params, const uint8_t* src,
                              int64_t channels, const QuantizeOutput& out);
ElementIndex quantizeColumnsWith(const KernelTable& table, const QuantizeParams& params, const uint8_t* src,
                                 int64_t rowStride, int64_t rows, int64_t columns, const QuantizeOutput& out);

// The table for `isa` ("plain", "avx2", "avx512"), the best this processor runs for null; null when unknown or
// not supported here.
const KernelTable* kernelTable(const char* isa);

// Elementwise comparison that tells whether a quantized table is the encoding of a float one.
// Accepts element x of a block with code q, zero point z, scale s when
//   |x/s + z - q| <= 0.5 + |q - z| * 2^-10 + 2^-6, or q is 0 (or the largest code) and x/s + z lies beyond it,
// and for s == 0 when |x| <= smallest normal of the source type. Arithmetic in double; defined once, not per ISA.
struct TieGateParams {
  FloatType type;       // of the float table
  FloatType scaleType;  // of the stored scales
  uint32_t bits;
  uint32_t blockSize;
  int64_t k;
  bool hasZeroPoints;  // otherwise 2^(bits-1)
};
struct TieGateResult {
  int64_t compared;
  int64_t rejected;
  double worstSteps;   // largest distance from the code, in steps, over elements that are not clamped
  int64_t worstIndex;  // channel * k + element of it, -1 when none; the first of equals
};
// `table`: element (channel c, index i) at table + c * channelStride + i * elementStride (bytes).
void tieGate(const TieGateParams& params, const uint8_t* table, int64_t channelStride, int64_t elementStride,
             int64_t channels, int64_t firstChannel, const uint8_t* codes, const uint8_t* scales,
             const uint8_t* zeroPoints, TieGateResult* result);

// Counts elements of `elementBytes` (1, 2, 4, 8) whose bit patterns differ. Element (r, c) of `a` lies at
// a + r * aRowStride + c * aColumnStride, likewise `b`; bytes.
struct CompareResult {
  int64_t compared;
  int64_t different;
  int64_t firstIndex;  // r * columns + c of the first difference plus firstRow * columns, -1 when none
};
void compareBits(uint32_t elementBytes, const uint8_t* a, int64_t aRowStride, int64_t aColumnStride, const uint8_t* b,
                 int64_t bRowStride, int64_t bColumnStride, int64_t rows, int64_t columns, int64_t firstRow,
                 CompareResult* result);

// Packed elements of `bits` (2, 4, 8, 16, 32), low bits first, in another layout: transposed, or with their top bits
// turned over, which makes signed codes of unsigned ones and back.
struct RelayoutParams {
  uint32_t bits;
  bool flip;
};
// Copies `byteLength` bytes of whole elements.
void relayoutFlat(const RelayoutParams& params, const uint8_t* src, int64_t byteLength, uint8_t* out);
// `src`: `rows` rows of `columns` elements, `rowStride` bytes apart. Column c goes to out + c * columnStride, in whole
// bytes; what its last byte has left over becomes 2^(bits-1).
void relayoutTransposed(const RelayoutParams& params, const uint8_t* src, int64_t rowStride, int64_t rows,
                        int64_t columns, uint8_t* out, int64_t columnStride);

}  // namespace lathe
