// Quantizes weights that meet every corner of the arithmetic and prints a digest of the outputs for each format and
// instruction set. Programs for different processors must print the same: native/tests/compare.mjs holds them to it.
#include <cstdio>
#include <cstring>
#include <vector>

#include "../kernels/kernels.h"

namespace {

using lathe::FloatType;
using lathe::QuantizeMethod;
using lathe::QuantizeOutput;
using lathe::QuantizeParams;

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  uint32_t bits() {
    state_ = state_ * 1664525u + 1013904223u;
    return state_ >> 8 ^ state_ << 16;
  }
  uint32_t below(uint32_t end) { return (bits() >> 4) % end; }
  double signedUnit() { return static_cast<double>(static_cast<int32_t>(bits())) * 0x1p-31; }

 private:
  uint32_t state_;
};

// The bit pattern of a type that has x, which it can hold but for its last digits.
uint32_t patternOf(FloatType type, double x) {
  const float value = static_cast<float>(x);
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (type == FloatType::kFloat32) return bits;
  if (type == FloatType::kBFloat16) return bits >> 16;
  const uint32_t sign = bits >> 16 & 0x8000;
  const double magnitude = x < 0 ? -x : x;
  if (magnitude < 0x1p-14) return sign | static_cast<uint32_t>(magnitude * 0x1p24);
  return sign | ((bits & 0x7fffffff) - 0x38000000) >> 13;
}

double largest(FloatType type) { return type == FloatType::kFloat16 ? 65504 : 0x1.fep126; }
double subnormalUnit(FloatType type) {
  return type == FloatType::kFloat16 ? 0x1p-24 : type == FloatType::kBFloat16 ? 0x1p-133 : 0x1p-149;
}

// Elements in runs of 16 of one kind: ordinary ones, wide ranges, subnormals, zeros of both signs, ties, one sign,
// constants, the largest, and any finite pattern.
void fill(FloatType type, std::vector<uint8_t>* weight, int64_t count, uint32_t seed) {
  const uint32_t exponent = type == FloatType::kFloat32 ? 0x7f800000 : type == FloatType::kFloat16 ? 0x7c00 : 0x7f80;
  const uint32_t limit = type == FloatType::kFloat32 ? 0x7f000000 : type == FloatType::kFloat16 ? 0x7c00 : 0x7f00;
  const uint32_t everyBit = type == FloatType::kFloat32 ? 0xffffffff : 0xffff;
  const size_t size = type == FloatType::kFloat32 ? 4 : 2;
  weight->assign(static_cast<size_t>(count) * size, 0);
  Random random(seed);
  uint32_t kind = 0;
  for (int64_t i = 0; i < count; i++) {
    if (i % 16 == 0 && random.below(2) == 0) kind = random.below(9);
    const double x = random.signedUnit();
    double value = x * 0.05;
    if (kind == 1) value = x / static_cast<double>(1u << random.below(20));
    if (kind == 2) value = static_cast<double>(static_cast<int>(x * 20)) * subnormalUnit(type);
    if (kind == 3) value = x < 0 ? -0.0 : 0.0;
    if (kind == 4) value = static_cast<double>(static_cast<int>(x * 16)) / 2;
    if (kind == 5) value = (x < 0 ? -x : x) + 0.125;
    if (kind == 6) value = -0.375;
    if (kind == 7) value = x * largest(type);
    uint32_t pattern = kind == 8 ? random.bits() & everyBit : patternOf(type, value);
    if ((pattern & exponent) >= limit) pattern ^= 1u << (type == FloatType::kFloat32 ? 30 : 14);
    memcpy(weight->data() + static_cast<size_t>(i) * size, &pattern, size);
  }
}

class Digest {
 public:
  void add(const std::vector<uint8_t>& bytes) {
    for (const uint8_t byte : bytes) value_ = (value_ ^ byte) * 0x100000001b3u;
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

struct Shape {
  int64_t n, k;
};
// Whole blocks, odd numbers of blocks, rests of one element and of one less than a block, more columns than a line.
constexpr Shape kShapes[] = {{1, 1}, {3, 32}, {33, 96}, {7, 353}, {34, 511}, {1, 1057}};

uint64_t digestOf(const lathe::KernelTable& kernels, QuantizeMethod method, FloatType type, uint32_t bits,
                  uint32_t blockSize, bool symmetric, bool columns) {
  const size_t size = type == FloatType::kFloat32 ? 4 : 2;
  Digest digest;
  uint32_t seed = 1;
  for (const Shape& shape : kShapes) {
    std::vector<uint8_t> weight;
    fill(type, &weight, shape.n * shape.k, seed++);
    const int64_t blocks = (shape.k + blockSize - 1) / blockSize;
    const int64_t codeBytes = blocks * blockSize * bits / 8, zeroPointBytes = (blocks * bits + 7) / 8;
    const int64_t scaleBytes = blocks * static_cast<int64_t>(size);
    std::vector<uint8_t> codes(static_cast<size_t>(shape.n * codeBytes), 0xee);
    std::vector<uint8_t> scales(static_cast<size_t>(shape.n * scaleBytes), 0xee);
    std::vector<uint8_t> zeroPoints(symmetric ? 0 : static_cast<size_t>(shape.n * zeroPointBytes), 0xee);
    const QuantizeParams params = {method, type, bits, blockSize, symmetric, shape.k};
    const QuantizeOutput out = {codes.data(), codeBytes, scales.data(), scaleBytes, symmetric ? nullptr : zeroPoints.data(),
                                zeroPointBytes};
    const auto quantize = [&] {
      return columns ? kernels.quantizeColumns(params, weight.data(), shape.n * static_cast<int64_t>(size), shape.k,
                                               shape.n, out)
                     : kernels.quantizeRows(params, weight.data(), shape.n, out);
    };
    const int64_t hit = quantize();
    digest.add({static_cast<uint8_t>(hit + 1)});
    digest.add(codes);
    digest.add(scales);
    digest.add(zeroPoints);
    if (method != QuantizeMethod::kRtn) continue;
    // The same weight with an infinity in it.
    const uint32_t infinity = type == FloatType::kFloat32 ? 0xff800000 : type == FloatType::kFloat16 ? 0x7c00 : 0xff80;
    const int64_t place = shape.n * shape.k * 2 / 3;
    memcpy(weight.data() + static_cast<size_t>(place) * size, &infinity, size);
    if (quantize() != place) digest.add({0xff});
  }
  return digest.value();
}

}  // namespace

int main() {
  for (const char* const isa : {"avx512", "avx2", "plain"}) {
    const lathe::KernelTable* const kernels = lathe::kernelTable(isa);
    if (kernels == nullptr) continue;
    for (const QuantizeMethod method : {QuantizeMethod::kRtn, QuantizeMethod::kSearch, QuantizeMethod::kKQuant}) {
      for (const FloatType type : {FloatType::kFloat32, FloatType::kFloat16, FloatType::kBFloat16}) {
        for (const uint32_t bits : {2u, 4u, 8u}) {
          for (const uint32_t blockSize : {16u, 32u, 64u, 128u, 256u}) {
            for (const int way : {0, 1, 2, 3}) {
              const bool symmetric = way % 2 != 0, columns = way >= 2;
              std::printf("%s method %d, type %d, %d bits, blocks of %d%s%s: %016llx\n", isa, static_cast<int>(method),
                          static_cast<int>(type), static_cast<int>(bits), static_cast<int>(blockSize),
                          symmetric ? ", symmetric" : "", columns ? ", columns" : "",
                          static_cast<unsigned long long>(
                              digestOf(*kernels, method, type, bits, blockSize, symmetric, columns)));
            }
          }
        }
      }
    }
  }
  return 0;
}
