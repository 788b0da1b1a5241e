// How fast the quantizers are on one core, in memory: no files, no threads, tiles of the size the executor makes.
// Prints one line per case: instruction set, method, bits, element type, layout, block size, symmetric or not, and for
// each slice of time the rate in bytes of input per second of this thread's processor time. tools/bench/kernels.mjs
// compiles and runs it.
//
//   kernel-speed SLICES MILLISECONDS [WORD...]    only cases whose line has each word
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels.h"

namespace {

using lathe::FloatType;
using lathe::KernelTable;
using lathe::QuantizeMethod;
using lathe::QuantizeOutput;
using lathe::QuantizeParams;

// Tiles as src/stream makes them: about a megabyte of whole channels, or strips of 128 rows of two pages.
constexpr int64_t kTileBytes = 768 * 1024;
constexpr int64_t kChannelElements = 4096;
constexpr int64_t kStripRows = 128;
constexpr int64_t kStripBytesPerRow = 8192;
constexpr int64_t kStripStride = kStripBytesPerRow + 64;
constexpr int64_t kMostRows = 1024;  // blocks of 256 with 2 bits
constexpr int64_t kSourceBytes = kMostRows * kStripStride;

struct Case {
  const char* isa;
  QuantizeMethod method;
  uint32_t bits;
  FloatType type;
  bool columns;
  uint32_t blockSize;
  bool symmetric;
};

std::string lineOf(const Case& c) {
  const char* const methods[] = {"rtn", "search", "k-quant"};
  const char* const type = c.type == FloatType::kFloat32 ? "fp32" : c.type == FloatType::kFloat16 ? "fp16" : "bf16";
  return std::string(c.isa) + " " + methods[static_cast<int>(c.method)] + " " + std::to_string(c.bits) + " " + type +
         (c.columns ? " columns " : " rows ") + std::to_string(c.blockSize) +
         (c.symmetric ? " symmetric" : " asymmetric");
}

double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Zeroed memory in large pages where there are any, as the executor asks for; never freed.
uint8_t* allocate(int64_t byteLength) {
  constexpr size_t kHugePage = 2 * 1024 * 1024;
  const size_t length = (static_cast<size_t>(byteLength) + kHugePage - 1) / kHugePage * kHugePage;
  void* const pages = aligned_alloc(kHugePage, length);
  if (pages == nullptr) std::abort();
#ifdef __linux__
  madvise(pages, length, MADV_HUGEPAGE);
#endif
  memset(pages, 0, length);
  return static_cast<uint8_t*>(pages);
}

uint16_t halfOf(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t half = magnitude < 0x38800000 ? static_cast<uint32_t>(std::lrint(std::fabs(x) * 0x1p24f))
                                               : (magnitude - 0x38000000 + 0x1000) >> 13;
  return static_cast<uint16_t>(half | ((bits >> 16) & 0x8000));
}

// Normal numbers as weights are, `count` of them.
void fill(FloatType type, uint8_t* to, int64_t count) {
  uint64_t state = 88172645463325252u;
  const auto uniform = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (static_cast<double>(state >> 11) + 0.5) * 0x1p-53;
  };
  for (int64_t i = 0; i < count; i++) {
    const float x = static_cast<float>(0.02 * std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307 * uniform()));
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (type == FloatType::kFloat32) {
      memcpy(to + i * 4, &bits, 4);
    } else {
      const uint16_t stored = type == FloatType::kFloat16 ? halfOf(x) : static_cast<uint16_t>(bits >> 16);
      memcpy(to + i * 2, &stored, 2);
    }
  }
}

struct Buffers {
  uint8_t* source;
  uint8_t* codes;
  uint8_t* scales;
  uint8_t* zeroPoints;
};

// Quantizes one tile; answers its bytes of input.
int64_t quantizeTile(const Case& c, const KernelTable& kernels, const Buffers& buffers) {
  const int64_t size = c.type == FloatType::kFloat32 ? 4 : 2;
  const int64_t rows = std::max<int64_t>(kStripRows, c.blockSize * 8 / c.bits);
  const int64_t k = c.columns ? rows : kChannelElements;
  const int64_t blocks = k / c.blockSize;
  const QuantizeParams params = {c.method, c.type, c.bits, c.blockSize, c.symmetric, k};
  const QuantizeOutput out = {buffers.codes,  k * c.bits / 8,
                              buffers.scales, blocks * size,
                              c.symmetric ? nullptr : buffers.zeroPoints, (blocks * c.bits + 7) / 8};
  if (c.columns) {
    const int64_t columns = kStripBytesPerRow / size;
    if (kernels.quantizeColumns(params, buffers.source, kStripStride, rows, columns, out) >= 0) std::abort();
    return rows * kStripBytesPerRow;
  }
  const int64_t channels = kTileBytes / (k * size);
  if (kernels.quantizeRows(params, buffers.source, channels, out) >= 0) std::abort();
  return channels * k * size;
}

void measure(const Case& c, int slices, double seconds, const Buffers& buffers) {
  const KernelTable& kernels = *lathe::kernelTable(c.isa);
  quantizeTile(c, kernels, buffers);
  std::vector<double> rates;
  for (int slice = 0; slice < slices; slice++) {
    const double start = threadSeconds();
    double elapsed;
    double bytes = 0;
    do {
      bytes += static_cast<double>(quantizeTile(c, kernels, buffers));
      elapsed = threadSeconds() - start;
    } while (elapsed < seconds);
    rates.push_back(bytes / elapsed);
  }
  std::printf("%s:", lineOf(c).c_str());
  for (const double rate : rates) std::printf(" %.3e", rate);
  std::printf("\n");
}

bool wanted(const Case& c, char** words, int count) {
  const std::string line = " " + lineOf(c) + " ";
  for (int i = 0; i < count; i++) {
    if (line.find(" " + std::string(words[i]) + " ") == std::string::npos) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int slices = std::atoi(argv[1]);
  const double seconds = std::atof(argv[2]) / 1000;
  // Codes take half the source at most, scales an eighth (fp32, blocks of 16: a quarter of an fp16 source).
  const Buffers buffers = {allocate(kSourceBytes), allocate(kSourceBytes), allocate(kSourceBytes),
                           allocate(kSourceBytes)};
  for (const FloatType type : {FloatType::kFloat16, FloatType::kBFloat16, FloatType::kFloat32}) {
    fill(type, buffers.source, kSourceBytes / (type == FloatType::kFloat32 ? 4 : 2));
    for (const char* const isa : {"avx512", "avx2", "plain"}) {
      if (lathe::kernelTable(isa) == nullptr) continue;
      for (const QuantizeMethod method : {QuantizeMethod::kRtn, QuantizeMethod::kSearch, QuantizeMethod::kKQuant}) {
        for (const uint32_t bits : {2u, 4u, 8u}) {
          for (const bool columns : {false, true}) {
            for (const uint32_t blockSize : {16u, 32u, 64u, 128u, 256u}) {
              for (const bool symmetric : {false, true}) {
                const Case c = {isa, method, bits, type, columns, blockSize, symmetric};
                if (wanted(c, argv + 3, argc - 3)) measure(c, slices, seconds, buffers);
              }
            }
          }
        }
      }
    }
  }
  return 0;
}
