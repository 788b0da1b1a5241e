// Memory for ring and scratch, straight from the system and back to it: what malloc keeps for later would count
// against every following run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

class WorkingMemory {
 public:
  // `byteLength` zeroed bytes, aligned to a page. data() is null when the system has none.
  explicit WorkingMemory(int64_t byteLength);
  ~WorkingMemory();
  WorkingMemory(WorkingMemory&& other) noexcept;
  WorkingMemory& operator=(WorkingMemory&&) = delete;
  WorkingMemory(const WorkingMemory&) = delete;

  uint8_t* data() const { return data_; }

 private:
  void* pages_;
  size_t pagesLength_;
  uint8_t* data_;
};

}  // namespace lathe
