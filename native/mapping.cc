#include "mapping.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14; older kernels answer EINVAL, which costs nothing
#endif

namespace lathe {

MappedWindow::~MappedWindow() {
  if (pages_ != nullptr) munmap(pages_, pagesLength_);
}

IoResult MappedWindow::map(int fd, int64_t byteLength, int64_t offset) {
  struct stat status;
  if (fstat(fd, &status) != 0) return {errno, offset};
  if (offset + byteLength > status.st_size) return {kEndOfFile, static_cast<int64_t>(status.st_size)};
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t start = offset / page * page;
  const size_t length = static_cast<size_t>(offset - start + byteLength);
  void* const pages = mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(start));
  if (pages == MAP_FAILED) return {errno, offset};
  pages_ = pages;
  pagesLength_ = length;
  data_ = static_cast<const uint8_t*>(pages) + (offset - start);
#ifdef __linux__
  madvise(pages, length, MADV_POPULATE_READ);  // one call instead of a fault per page; only a hint
#endif
  return {0, offset};
}

}  // namespace lathe
