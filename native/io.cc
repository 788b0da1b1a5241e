#include "io.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#ifdef __linux__
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif

namespace lathe {

IoResult readFully(int fd, uint8_t* to, int64_t byteLength, int64_t offset) {
  const int64_t end = offset + byteLength;
  while (offset < end) {
    const ssize_t got = pread(fd, to, static_cast<size_t>(end - offset), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {errno, offset};
    if (got == 0) return {kEndOfFile, offset};
    to += got;
    offset += got;
  }
  return {0, offset};
}

namespace {

constexpr int kMaxVectors = 256;

// One preadv of up to kMaxVectors touching segments; what a short read left is fetched segment by segment.
IoResult readTouching(int fd, uint8_t* to, int64_t memoryStride, int64_t segmentBytes, int count, int64_t offset) {
  iovec vectors[kMaxVectors];
  for (int i = 0; i < count; i++) vectors[i] = {to + i * memoryStride, static_cast<size_t>(segmentBytes)};
  ssize_t got;
  do {
    got = preadv(fd, vectors, count, static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return {errno, offset};
  for (int64_t done = got; done < count * segmentBytes;) {
    const int64_t within = done % segmentBytes;
    const IoResult result = readFully(fd, to + done / segmentBytes * memoryStride + within, segmentBytes - within,
                                      offset + done);
    if (result.error != 0) return result;
    done += segmentBytes - within;
  }
  return {0, offset + count * segmentBytes};
}

}  // namespace

IoResult readSegments(int fd, uint8_t* to, int64_t memoryStride, int64_t segmentBytes, int64_t segments,
                      int64_t fileStride, int64_t offset) {
  if (fileStride == segmentBytes && memoryStride == segmentBytes) {
    return readFully(fd, to, segmentBytes * segments, offset);
  }
  const bool touching = fileStride == segmentBytes;
  for (int64_t i = 0; i < segments;) {
    const int count = touching ? static_cast<int>(std::min<int64_t>(kMaxVectors, segments - i)) : 1;
    uint8_t* const place = to + i * memoryStride;
    const int64_t position = offset + i * fileStride;
    const IoResult result = touching ? readTouching(fd, place, memoryStride, segmentBytes, count, position)
                                     : readFully(fd, place, segmentBytes, position);
    if (result.error != 0) return result;
    i += count;
  }
  return {0, offset};
}

IoResult writeFully(int fd, const uint8_t* from, int64_t byteLength, int64_t offset) {
  const int64_t end = offset + byteLength;
  while (offset < end) {
    const ssize_t put = pwrite(fd, from, static_cast<size_t>(end - offset), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return {put < 0 ? errno : EIO, offset};
    from += put;
    offset += put;
  }
  return {0, offset};
}

void startFlush(int fd, int64_t offset, int64_t byteLength) {
#ifdef __linux__
  (void)sync_file_range(fd, static_cast<off64_t>(offset), static_cast<off64_t>(byteLength), SYNC_FILE_RANGE_WRITE);
#else
  (void)fd;
  (void)offset;
  (void)byteLength;
#endif
}

int openBeneath(int directory, const char* path, int* fd) {
#if defined(__linux__) && defined(SYS_openat2)
  // struct open_how of linux/openat2.h, which distributions older than the system call lack.
  struct {
    uint64_t flags, mode, resolve;
  } how = {O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0x08 /* RESOLVE_BENEATH */ | 0x02 /* RESOLVE_NO_MAGICLINKS */};
  // EAGAIN: a rename elsewhere raced with "..", and the kernel could not prove containment. It asks for a retry.
  for (int attempt = 0; attempt < 16; attempt++) {
    const long opened = syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (opened >= 0) {
      *fd = static_cast<int>(opened);
      return 0;
    }
    if (errno != EAGAIN && errno != EINTR) return errno;
  }
  return EAGAIN;
#else
  (void)directory;
  (void)path;
  (void)fd;
  return ENOSYS;
#endif
}

int preallocate(int fd, int64_t offset, int64_t byteLength) {
  if (byteLength == 0) return 0;
#ifdef __linux__
  // fallocate, not posix_fallocate: glibc emulates the latter by writing into every block.
  int error;
  do {
    error = fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(byteLength)) == 0 ? 0 : errno;
  } while (error == EINTR);
  if (error != EOPNOTSUPP && error != ENOSYS) return error;
#endif
  struct stat status;
  if (fstat(fd, &status) != 0) return errno;
  if (status.st_size >= offset + byteLength) return 0;
  return ftruncate(fd, static_cast<off_t>(offset + byteLength)) == 0 ? 0 : errno;
}

int renameExchange(const char* a, const char* b) {
#if defined(__linux__) && defined(SYS_renameat2)
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE of linux/fs.h
  return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, kExchange) == 0 ? 0 : errno;
#elif defined(__APPLE__)
  return renamex_np(a, b, RENAME_SWAP) == 0 ? 0 : errno;
#else
  (void)a;
  (void)b;
  return ENOSYS;
#endif
}

int reflinkRange(int source, int64_t sourceOffset, int64_t byteLength, int target, int64_t targetOffset) {
#if defined(__linux__) && defined(FICLONERANGE)
  file_clone_range range = {};
  range.src_fd = source;
  range.src_offset = static_cast<uint64_t>(sourceOffset);
  range.src_length = static_cast<uint64_t>(byteLength);
  range.dest_offset = static_cast<uint64_t>(targetOffset);
  return ioctl(target, FICLONERANGE, &range) == 0 ? 0 : errno;
#else
  (void)source;
  (void)sourceOffset;
  (void)byteLength;
  (void)target;
  (void)targetOffset;
  return EOPNOTSUPP;
#endif
}

int randomFill(uint8_t* to, size_t byteLength) {
  constexpr size_t kLargest = 256;
  for (size_t done = 0; done < byteLength;) {
    const size_t piece = std::min(kLargest, byteLength - done);
    if (getentropy(to + done, piece) != 0) return errno;
    done += piece;
  }
  return 0;
}

}  // namespace lathe
