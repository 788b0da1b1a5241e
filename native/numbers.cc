#include "numbers.h"

namespace lathe {

bool Numbers::grow(size_t needed) {
  constexpr size_t kLargest = size_t{1} << 30;
  constexpr size_t kStep = size_t{1} << 20;
  constexpr size_t kFirst = 256;
  if (needed > kLargest) return false;
  size_t capacity = capacity_ + (capacity_ < kStep ? capacity_ : kStep);
  if (capacity < needed) capacity = needed;
  if (capacity < kFirst) capacity = kFirst;
  void* const memory = std::realloc(owned_ ? data_ : nullptr, capacity * sizeof(int32_t));
  if (memory == nullptr) return false;
  if (!owned_ && length_ > 0) std::memcpy(memory, data_, length_ * sizeof(int32_t));
  data_ = static_cast<int32_t*>(memory);
  capacity_ = capacity;
  owned_ = true;
  return true;
}

bool Numbers::clear(size_t length) {
  void* const memory = std::calloc(length, sizeof(int32_t));
  if (memory == nullptr) return false;
  if (owned_) std::free(data_);
  data_ = static_cast<int32_t*>(memory);
  length_ = capacity_ = length;
  owned_ = true;
  return true;
}

}  // namespace lathe
