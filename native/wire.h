// Reads protobuf's wire format strictly: whatever is damaged or what no writer produces is refused.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

constexpr uint32_t kMaxLength = INT32_MAX;

// Bytes `position` to `end` of a buffer.
struct Wire {
  const uint8_t* bytes;
  size_t position;
  size_t end;

  bool done() const { return position >= end; }

  // A tag or length: at most 32 bits in at most five bytes.
  bool readUint32(uint32_t* value) {
    if (position < end && bytes[position] < 128) {
      *value = bytes[position++];
      return true;
    }
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 35 && position < end; shift += 7) {
      const uint8_t byte = bytes[position++];
      sum |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte >= 128) continue;
      *value = static_cast<uint32_t>(sum);
      return sum <= UINT32_MAX;
    }
    return false;
  }

  bool readTag(uint32_t* tag) { return readUint32(tag) && *tag >= 8; }

  // A length, and that so many bytes are there.
  bool readLength(size_t* length) {
    uint32_t value;
    if (!readUint32(&value) || value > kMaxLength || value > end - position) return false;
    *length = value;
    return true;
  }

  bool skip(size_t length) {
    if (length > end - position) return false;
    position += length;
    return true;
  }

  // The value of a field. Groups are refused: no writer has them.
  bool skipField(uint32_t tag) {
    size_t length;
    switch (tag & 7) {
      case kVarint:
        for (int i = 0; i < 10 && position < end; i++) {
          if (bytes[position++] < 128) return true;
        }
        return false;
      case kFixed64:
        return skip(8);
      case kLengthDelimited:
        return readLength(&length) && skip(length);
      case kFixed32:
        return skip(4);
      default:
        return false;
    }
  }
};

}  // namespace lathe
