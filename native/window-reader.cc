#include "window-reader.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "io.h"

namespace lathe {

namespace {

constexpr int64_t kWindowAfterGap = 4096;
constexpr int64_t kLargestWindow = 1024 * 1024;

// `value` as a varint of exactly `width` bytes, padded if it needs fewer.
void writeVarint(uint8_t* to, uint64_t value, size_t width) {
  for (size_t i = 0; i + 1 < width; i++, value >>= 7) to[i] = static_cast<uint8_t>((value & 127) | 128);
  to[width - 1] = static_cast<uint8_t>(value);
}

}  // namespace

Bytes::~Bytes() { std::free(data_); }

bool Bytes::append(const uint8_t* bytes, size_t length) {
  if (length > capacity_ - length_) {
    constexpr size_t kFirst = 64 * 1024;
    const size_t capacity = std::max({kFirst, capacity_ * 2, length_ + length});
    void* const memory = std::realloc(data_, capacity);
    if (memory == nullptr) return false;
    data_ = static_cast<uint8_t*>(memory);
    capacity_ = capacity;
  }
  if (length > 0) std::memcpy(data_ + length_, bytes, length);
  length_ += length;
  return true;
}

uint8_t* Bytes::release() {
  uint8_t* const memory = static_cast<uint8_t*>(std::realloc(data_, length_));
  uint8_t* const given = memory == nullptr ? data_ : memory;
  data_ = nullptr;
  length_ = capacity_ = 0;
  return given;
}

WindowReader::WindowReader(const ScanSource& source, int64_t keptLimit, Bytes* kept)
    : source_(source), keptLimit_(keptLimit), kept_(*kept) {
  if (source.memory == nullptr) return;
  window_ = source.memory;
  windowEnd_ = source.byteLength;
}

bool WindowReader::skip(int64_t byteLength, int64_t end) {
  if (byteLength > end - offset()) return false;
  if (byteLength > windowEnd_ - index_ && keptLength() + byteLength > keptLimit_) return false;
  while (byteLength > windowEnd_ - index_) {
    byteLength -= windowEnd_ - index_;
    index_ = windowEnd_;
    if (!refill()) return false;
  }
  index_ += byteLength;
  return true;
}

bool WindowReader::replace(int64_t from, int64_t dropped, const uint8_t* bytes, size_t byteLength) {
  isGapless_ = false;
  if (!keep(from - windowOffset_) || !append(bytes, byteLength)) return false;
  index_ += dropped;
  keptIndex_ = index_;
  if (index_ > windowEnd_) {
    windowOffset_ += index_;
    windowEnd_ = index_ = keptIndex_ = 0;
    windowLength_ = kWindowAfterGap;
  }
  return true;
}

void WindowReader::patchLength(int64_t keptOffset, uint64_t value, size_t width) {
  writeVarint(kept_.data() + keptOffset, value, width);
}

bool WindowReader::refill() {
  const int64_t from = offset();
  if (!keep(index_)) return false;
  const int64_t length = std::min(source_.byteLength - from, windowLength_);
  if (length <= 0 || source_.memory != nullptr) return false;
  if (buffer_ == nullptr || bufferLength_ < length) {
    bufferLength_ = std::max(length, kWindowAfterGap);
    buffer_.reset(new (std::nothrow) uint8_t[static_cast<size_t>(bufferLength_)]);
    if (buffer_ == nullptr) return false;
  }
  if (readFully(source_.fd, buffer_.get(), length, from).error != 0) return false;
  window_ = buffer_.get();
  windowOffset_ = from;
  windowEnd_ = length;
  index_ = keptIndex_ = 0;
  windowLength_ = std::min(kLargestWindow, windowLength_ * 4);
  return true;
}

// Keeps the window up to `index`.
bool WindowReader::keep(int64_t index) {
  if (index > keptIndex_ && !append(window_ + keptIndex_, static_cast<size_t>(index - keptIndex_))) return false;
  keptIndex_ = index;
  return true;
}

bool WindowReader::append(const uint8_t* bytes, size_t byteLength) {
  if (kept_.length() + byteLength > static_cast<size_t>(keptLimit_)) return false;
  return kept_.append(bytes, byteLength);
}

}  // namespace lathe
