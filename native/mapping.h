// One read-only window of a file, unmapped when it goes out of scope. Never handed to JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>

#include "io.h"

namespace lathe {

class MappedWindow {
 public:
  MappedWindow() = default;
  ~MappedWindow();
  MappedWindow(const MappedWindow&) = delete;
  MappedWindow& operator=(const MappedWindow&) = delete;

  // Maps the pages around [offset, offset + byteLength). Refuses a range that goes beyond the file (kEndOfFile):
  // touching such a page would kill the process with SIGBUS.
  IoResult map(int fd, int64_t byteLength, int64_t offset);

  // First byte of the range that was asked for.
  const uint8_t* data() const { return data_; }

 private:
  void* pages_ = nullptr;
  size_t pagesLength_ = 0;
  const uint8_t* data_ = nullptr;
};

}  // namespace lathe
