// Exact sums, and what measured errors come to; the kernels that find them are in measure.inc.h.
#include <cstring>

#include "kernels.h"

namespace lathe {

namespace {

constexpr int kLowestExponent = -320;  // of digit 0
constexpr int64_t kDigitMask = 0xffffffff;

}  // namespace

void ExactSum::add(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (bits == 0) return;
  // value = mantissa * 2^exponent; numbers this small do not reach the subnormal ones.
  uint64_t mantissa = (bits & 0xfffffffffffff) | 0x10000000000000;
  int position = static_cast<int>(bits >> 52) - 1075 - kLowestExponent;
  if (position < 0) {  // only zeros lie below the lowest digit
    mantissa >>= -position;
    position = 0;
  }
  int64_t* const at = digits + position / 32;
  const uint64_t low = (mantissa & kDigitMask) << (position % 32);
  const uint64_t high = (mantissa >> 32) << (position % 32);
  at[0] += static_cast<int64_t>(low & kDigitMask);
  at[1] += static_cast<int64_t>((low >> 32) + (high & kDigitMask));
  at[2] += static_cast<int64_t>(high >> 32);
}

void ExactSum::add(const ExactSum& other) {
  for (int i = 0; i < kSumDigits; i++) digits[i] += other.digits[i];
  carry();
}

void ExactSum::carry() {
  for (int i = 0; i + 1 < kSumDigits; i++) {
    digits[i + 1] += digits[i] >> 32;
    digits[i] &= kDigitMask;
  }
}

void ErrorPeak::raise(double other, int64_t otherIndex) {
  if (otherIndex < 0 || other < value) return;
  if (other == value && (index < 0 || otherIndex >= index)) return;
  value = other;
  index = otherIndex;
}

void ErrorSum::add(const ErrorSum& other) {
  error.add(other.error);
  signal.add(other.signal);
  nonFinite += other.nonFinite;
  largest.raise(other.largest.value, other.largest.index);
  worst.raise(other.worst.value, other.worst.index);
}

void packError(const ErrorSum& sum, double* fields) {
  for (int i = 0; i < kSumDigits; i++) {
    fields[i] = static_cast<double>(sum.error.digits[i]);
    fields[kSumDigits + i] = static_cast<double>(sum.signal.digits[i]);
  }
  double* const rest = fields + 2 * kSumDigits;
  rest[0] = static_cast<double>(sum.nonFinite);
  rest[1] = sum.largest.value;
  rest[2] = static_cast<double>(sum.largest.index);
  rest[3] = sum.worst.value;
  rest[4] = static_cast<double>(sum.worst.index);
}

}  // namespace lathe
