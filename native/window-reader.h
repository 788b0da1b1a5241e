// Reads a source from its start to its end through a window and keeps what it passes, but for what is left out: the twin
// of WireReader in src/proto/wire.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "wire.h"

namespace lathe {

// A file, or memory where `memory` is not null.
struct ScanSource {
  int fd;
  const uint8_t* memory;
  int64_t byteLength;
};

// Bytes that grow and can be handed over.
class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes();

  uint8_t* data() { return data_; }
  size_t length() const { return length_; }
  // False when there is no memory.
  bool append(const uint8_t* bytes, size_t length);
  // Gives the memory, cut to its length, to the caller, who frees it.
  uint8_t* release();

 private:
  uint8_t* data_ = nullptr;
  size_t length_ = 0;
  size_t capacity_ = 0;
};

// Methods return false where those of WireReader throw.
class WindowReader {
 public:
  WindowReader(const ScanSource& source, int64_t keptLimit, Bytes* kept);

  int64_t offset() const { return windowOffset_ + index_; }
  // What is kept of everything up to here.
  int64_t keptLength() const { return static_cast<int64_t>(kept_.length()) + index_ - keptIndex_; }
  bool isGapless() const { return isGapless_; }

  // Brings enough into the window for a tag and a number, where the source has so much.
  bool prepare() {
    if (windowEnd_ - index_ >= kLookahead || windowOffset_ + windowEnd_ >= source_.byteLength) return true;
    return refill();
  }

  // At most 32 bits in at most five bytes of the window.
  bool readUint32(uint32_t* value) {
    Wire wire = {window_, static_cast<size_t>(index_), static_cast<size_t>(windowEnd_)};
    if (!wire.readUint32(value)) return false;
    index_ = static_cast<int64_t>(wire.position);
    return true;
  }

  bool skipVarint() {
    Wire wire = {window_, static_cast<size_t>(index_), static_cast<size_t>(windowEnd_)};
    if (!wire.skipField(kVarint)) return false;
    index_ = static_cast<int64_t>(wire.position);
    return true;
  }

  // Passes bytes that end before `end`.
  bool skip(int64_t byteLength, int64_t end);
  // Puts `bytes` in the place of what was read since `from` and of the `dropped` bytes that follow.
  bool replace(int64_t from, int64_t dropped, const uint8_t* bytes, size_t byteLength);
  // Writes a varint of `width` bytes over what is kept.
  void patchLength(int64_t keptOffset, uint64_t value, size_t width);
  // Keeps the rest of what was read.
  bool finish() { return keep(index_); }

 private:
  static constexpr int64_t kLookahead = 16;
  static constexpr int64_t kFirstWindow = 1024 * 1024;

  bool refill();
  bool keep(int64_t index);
  bool append(const uint8_t* bytes, size_t byteLength);

  const ScanSource& source_;
  const int64_t keptLimit_;
  Bytes& kept_;
  std::unique_ptr<uint8_t[]> buffer_;
  int64_t bufferLength_ = 0;
  const uint8_t* window_ = nullptr;
  int64_t windowOffset_ = 0;
  int64_t windowEnd_ = 0;
  int64_t windowLength_ = kFirstWindow;
  int64_t index_ = 0;
  // Bytes of the window before this are kept already, or dropped.
  int64_t keptIndex_ = 0;
  bool isGapless_ = true;
};

}  // namespace lathe
