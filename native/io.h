// Bytes between files and memory, and the few file-system calls Node does not offer. No Node-API here; results are
// errno values (0 for success) so that the caller decides what to throw.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

// Returned where an errno is expected when the file ended before all bytes were read.
constexpr int kEndOfFile = -1;

// Bytes per pwrite. On ext4 pieces of 1 MB and more are written at a third of the speed of pieces up to 256 KB.
constexpr int64_t kWritePiece = 256 * 1024;

// Why a transfer stopped: `error` is 0, an errno or kEndOfFile; `offset` is the file position it happened at.
struct IoResult {
  int error;
  int64_t offset;
};

// Reads exactly `byteLength` bytes; retries interrupted and short reads.
IoResult readFully(int fd, uint8_t* to, int64_t byteLength, int64_t offset);

// Reads `segments` runs of `segmentBytes`, `fileStride` apart in the file, `memoryStride` apart in memory.
// Runs that touch each other in the file go through preadv.
IoResult readSegments(int fd, uint8_t* to, int64_t memoryStride, int64_t segmentBytes, int64_t segments,
                      int64_t fileStride, int64_t offset);

// Writes exactly `byteLength` bytes; retries interrupted and short writes.
IoResult writeFully(int fd, const uint8_t* from, int64_t byteLength, int64_t offset);

// Has the kernel start to write a range to the disk, without waiting for it: the flush that follows then finds little
// left to do. A hint; nothing where the system lacks the call.
void startFlush(int fd, int64_t offset, int64_t byteLength);

// Opens a path relative to `directory` for reading, never leaving it: no "..", no absolute path, no link that
// leads outside. O_NONBLOCK, so that a FIFO does not hang; the caller checks for a regular file.
// ENOSYS where the kernel has no openat2.
int openBeneath(int directory, const char* path, int* fd);

// Reserves blocks, so that a full disk is met before the first byte; extends the file where the file system
// cannot reserve.
int preallocate(int fd, int64_t offset, int64_t byteLength);

// Swaps two paths in one step. ENOSYS or EINVAL where the kernel or file system cannot.
int renameExchange(const char* a, const char* b);

// Shares blocks between two files (FICLONERANGE). EOPNOTSUPP, EINVAL or EXDEV where that is impossible.
int reflinkRange(int source, int64_t sourceOffset, int64_t byteLength, int target, int64_t targetOffset);

// Fills memory with random bytes of the system.
int randomFill(uint8_t* to, size_t byteLength);

}  // namespace lathe
