// Numbers for JavaScript, in its memory or in ours.
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

}  // namespace lathe
