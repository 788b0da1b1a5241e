#include "working-memory.h"

#include <sys/mman.h>

namespace lathe {

namespace {

constexpr size_t kHugePage = 2 * 1024 * 1024;

}  // namespace

WorkingMemory::WorkingMemory(int64_t byteLength) {
  const size_t length = static_cast<size_t>(byteLength) + 1;  // mmap refuses nothing
  const bool huge = length >= kHugePage;
  pagesLength_ = huge ? length + kHugePage : length;
  pages_ = mmap(nullptr, pagesLength_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  data_ = nullptr;
  if (pages_ == MAP_FAILED) return;
  const uintptr_t start = reinterpret_cast<uintptr_t>(pages_);
  data_ = reinterpret_cast<uint8_t*>(huge ? (start + kHugePage - 1) / kHugePage * kHugePage : start);
#ifdef __linux__
  // Strips of columns write a line to every channel of a panel, so to thousands of small pages: a third of the time.
  if (huge) madvise(data_, length, MADV_HUGEPAGE);
#endif
}

WorkingMemory::~WorkingMemory() {
  if (pages_ != MAP_FAILED) munmap(pages_, pagesLength_);
}

WorkingMemory::WorkingMemory(WorkingMemory&& other) noexcept
    : pages_(other.pages_), pagesLength_(other.pagesLength_), data_(other.data_) {
  other.pages_ = MAP_FAILED;
  other.data_ = nullptr;
}

}  // namespace lathe
