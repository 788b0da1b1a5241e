// Where the messages of a graph are and what they are called, found in its bytes: the twin of src/proto/graph-index.ts,
// which says what the tables mean. Plain C++ without Node. Every byte is a stranger's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace lathe {

// A list of 32-bit numbers that begins in memory of somebody else and moves to its own when it needs more.
class Numbers {
 public:
  Numbers() = default;
  Numbers(int32_t* data, size_t length, size_t capacity) : data_(data), length_(length), capacity_(capacity) {}
  Numbers(Numbers&& other) noexcept { swap(other); }
  Numbers& operator=(Numbers&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Numbers() {
    if (owned_) std::free(data_);
  }

  int32_t* data() { return data_; }
  size_t length() const { return length_; }
  size_t capacity() const { return capacity_; }
  bool owned() const { return owned_; }
  int32_t& operator[](size_t index) { return data_[index]; }

  // Appends; false when there is no memory, or too much of it.
  bool push(int32_t value) {
    if (length_ == capacity_ && !grow(length_ + 1)) return false;
    data_[length_++] = value;
    return true;
  }
  bool append(Numbers& other) {
    if (other.length_ > capacity_ - length_ && !grow(length_ + other.length_)) return false;
    if (other.length_ > 0) std::memcpy(data_ + length_, other.data_, other.length_ * sizeof(int32_t));
    length_ += other.length_;
    return true;
  }
  void drop(size_t length) { length_ = length; }
  // A list of zeros.
  bool clear(size_t length);
  // Gives the memory to the caller, who frees it; only of an owned list.
  int32_t* release() {
    owned_ = false;
    return std::exchange(data_, nullptr);
  }

 private:
  bool grow(size_t needed);
  void swap(Numbers& other) {
    std::swap(data_, other.data_);
    std::swap(length_, other.length_);
    std::swap(capacity_, other.capacity_);
    std::swap(owned_, other.owned_);
  }

  int32_t* data_ = nullptr;
  size_t length_ = 0;
  size_t capacity_ = 0;
  bool owned_ = false;
};

constexpr size_t kListCount = 5;
// Bytes of a token that stands for raw_data.
constexpr size_t kTokenLength = 20;

constexpr size_t kNameLength = 3;

struct GraphTables {
  const uint8_t* bytes;
  size_t byteLength;
  Numbers tape;
  // kNameLength numbers a name: start, length, hash.
  Numbers names;
  // Open addressing, at most half full; its capacity is a power of two.
  Numbers slots;
  uint32_t hashBasis;
  const uint8_t* tokenPrefix;
  size_t tokenPrefixLength;
};

struct GraphPlaces {
  size_t at = 0;
  int32_t counts[kListCount] = {};
  Numbers others;
};

// Indexes the graph at `start` to `end`, which lie within the bytes. False where it is damaged, odd or too large: then
// the slots are as they were.
bool indexGraph(GraphTables* tables, size_t start, size_t end, const int32_t fields[kListCount], GraphPlaces* places);

}  // namespace lathe
