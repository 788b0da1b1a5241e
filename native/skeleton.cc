#include "skeleton.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "io.h"
#include "wire.h"

namespace lathe {

Bytes::~Bytes() { std::free(data_); }

bool Bytes::append(const uint8_t* bytes, size_t length) {
  if (length > capacity_ - length_) {
    constexpr size_t kFirst = 64 * 1024;
    const size_t capacity = std::max({kFirst, capacity_ * 2, length_ + length});
    void* const memory = std::realloc(data_, capacity);
    if (memory == nullptr) return false;
    data_ = static_cast<uint8_t*>(memory);
    capacity_ = capacity;
  }
  if (length > 0) std::memcpy(data_ + length_, bytes, length);
  length_ += length;
  return true;
}

uint8_t* Bytes::release() {
  uint8_t* const memory = static_cast<uint8_t*>(std::realloc(data_, length_));
  uint8_t* const given = memory == nullptr ? data_ : memory;
  data_ = nullptr;
  length_ = capacity_ = 0;
  return given;
}

namespace {

// Codes of the layout, as src/proto/walk.ts has them.
enum Content : uint8_t { kLeaf = 0, kInt64 = 32, kInt32 = 33, kFloat = 34, kDouble = 35, kRaw = 36, kContentMask = 63 };
constexpr uint8_t kMerges = 64;

constexpr int64_t kLookahead = 16;
constexpr int64_t kFirstWindow = 1024 * 1024;
constexpr int64_t kWindowAfterGap = 4096;
constexpr int64_t kLargestWindow = 1024 * 1024;

// `value` as a varint of exactly `width` bytes, padded if it needs fewer.
void writeVarint(uint8_t* to, uint64_t value, size_t width) {
  for (size_t i = 0; i + 1 < width; i++, value >>= 7) to[i] = static_cast<uint8_t>((value & 127) | 128);
  to[width - 1] = static_cast<uint8_t>(value);
}

// Reads a source through a window and keeps what it passes; WireReader of src/proto/wire.ts. Methods return false where
// that one throws.
class Reader {
 public:
  Reader(const ScanSource& source, int64_t keptLimit, Bytes* kept) : source_(source), keptLimit_(keptLimit), kept_(*kept) {
    if (source.memory == nullptr) return;
    window_ = source.memory;
    windowEnd_ = source.byteLength;
  }

  int64_t offset() const { return windowOffset_ + index_; }
  int64_t keptLength() const { return static_cast<int64_t>(kept_.length()) + index_ - keptIndex_; }
  bool isGapless() const { return isGapless_; }

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

  bool skip(int64_t byteLength, int64_t end) {
    if (byteLength > end - offset()) return false;
    if (byteLength > windowEnd_ - index_ && keptLength() + byteLength > keptLimit_) return false;
    while (byteLength > windowEnd_ - index_) {
      byteLength -= windowEnd_ - index_;
      index_ = windowEnd_;
      if (!refill()) return false;
    }
    index_ += byteLength;
    return true;
  }

  // Puts `bytes` in the place of what was read since `from` and of the `dropped` bytes that follow.
  bool replace(int64_t from, int64_t dropped, const uint8_t* bytes, size_t byteLength) {
    isGapless_ = false;
    if (!keep(from - windowOffset_) || !append(bytes, byteLength)) return false;
    index_ += dropped;
    keptIndex_ = index_;
    if (index_ > windowEnd_) {
      windowOffset_ += index_;
      windowEnd_ = index_ = keptIndex_ = 0;
      windowLength_ = kWindowAfterGap;
    }
    return true;
  }

  void patchLength(int64_t keptOffset, uint64_t value, size_t width) { writeVarint(kept_.data() + keptOffset, value, width); }

  bool finish() { return keep(index_); }

 private:
  bool refill() {
    const int64_t from = offset();
    if (!keep(index_)) return false;
    const int64_t length = std::min(source_.byteLength - from, windowLength_);
    if (length <= 0 || source_.memory != nullptr) return false;
    if (buffer_ == nullptr || bufferLength_ < length) {
      bufferLength_ = std::max(length, kWindowAfterGap);
      buffer_.reset(new (std::nothrow) uint8_t[static_cast<size_t>(bufferLength_)]);
      if (buffer_ == nullptr) return false;
    }
    if (readFully(source_.fd, buffer_.get(), length, from).error != 0) return false;
    window_ = buffer_.get();
    windowOffset_ = from;
    windowEnd_ = length;
    index_ = keptIndex_ = 0;
    windowLength_ = std::min(kLargestWindow, windowLength_ * 4);
    return true;
  }

  // Keeps the window up to `index`.
  bool keep(int64_t index) {
    if (index > keptIndex_ && !append(window_ + keptIndex_, static_cast<size_t>(index - keptIndex_))) return false;
    keptIndex_ = index;
    return true;
  }

  bool append(const uint8_t* bytes, size_t byteLength) {
    if (kept_.length() + byteLength > static_cast<size_t>(keptLimit_)) return false;
    return kept_.append(bytes, byteLength);
  }

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

struct OpenMessage {
  int64_t end;
  int64_t byteLength;
  int64_t keptOffset;
  int64_t savedBefore;
  size_t width;
  uint32_t type;
  // Merging fields met so far, one bit each.
  uint32_t met;
  // Payload field left out of this tensor, or -1.
  int elided;
};

class Scan {
 public:
  Scan(const ScanSource& source, const ScanRules& rules, Skeleton* skeleton)
      : source_(source), rules_(rules), skeleton_(*skeleton), reader_(source, rules.skeletonByteLimit, &skeleton->bytes) {}

  bool run() {
    open_[0] = {source_.byteLength, source_.byteLength, 0, 0, 0, 0, 0, -1};
    for (;;) {
      while (reader_.offset() == top().end) {
        if (depth_ == 0) return finish();
        leave();
      }
      if (!passField()) return false;
    }
  }

 private:
  OpenMessage& top() { return open_[depth_]; }

  bool finish() {
    // Tokens cannot be joined as protobuf joins numbers: JavaScript then keeps them all.
    if (merges_ && typedPayloads_) return false;
    skeleton_.isSource = source_.memory != nullptr && reader_.isGapless();
    return skeleton_.isSource || reader_.finish();
  }

  bool passField() {
    if (!reader_.prepare()) return false;
    uint32_t tag;
    if (!reader_.readUint32(&tag) || tag < 8) return false;
    const uint32_t field = tag >> 3;
    const uint8_t code = field < kFieldsPerMessage ? rules_.layout[top().type * kFieldsPerMessage + field] : 0;
    heap_ += rules_.fieldHeapBytes;
    if ((code & kMerges) != 0) {
      const uint32_t bit = uint32_t{1} << field;
      merges_ = merges_ || (top().met & bit) != 0;
      top().met |= bit;
    }
    const int64_t end = top().end;
    bool good;
    if ((tag & 7) == kLengthDelimited) {
      good = passMessage(code & kContentMask);
    } else if ((tag & 7) == kVarint) {
      good = reader_.skipVarint();
    } else if ((tag & 7) == kFixed64) {
      good = reader_.skip(8, end);
    } else {
      good = (tag & 7) == kFixed32 && reader_.skip(4, end);
    }
    return good && heap_ <= rules_.heapByteLimit && reader_.offset() <= std::max(end, top().end);
  }

  // A field with a length.
  bool passMessage(uint8_t content) {
    const int64_t lengthOffset = reader_.offset();
    const int64_t end = top().end;
    uint32_t length;
    if (!reader_.readUint32(&length) || length > kMaxLength || length > end - reader_.offset()) return false;
    if (content > kLeaf && content < kInt64) {
      if (content >= rules_.wholeBelowCount || content > rules_.messageTypes) return false;
      heap_ += rules_.messageHeapBytes;
      if (length < rules_.wholeBelow[content]) {
        heap_ += (length / 2.0) * rules_.fieldHeapBytes;
        return reader_.skip(length, end);
      }
      return enter(content - 1u, lengthOffset, length);
    }
    if (content != kLeaf) {
      const uint32_t width = content == kFloat ? 4 : content == kDouble ? 8 : 1;
      if (length % width != 0) return false;
      bool isElided = false;
      if (top().type == rules_.tensorType && !elide(content, lengthOffset, length, &isElided)) return false;
      if (isElided) return true;
      if (content != kRaw) heap_ += length * (content == kInt64 ? rules_.int64HeapBytes : rules_.numberHeapBytes);
    }
    return reader_.skip(length, end);
  }

  bool enter(uint32_t type, int64_t lengthOffset, int64_t byteLength) {
    if (depth_ >= rules_.depthLimit) return false;
    const int64_t width = reader_.offset() - lengthOffset;
    depth_++;
    top() = {reader_.offset() + byteLength,
             byteLength,
             reader_.keptLength() - width,
             saved_,
             static_cast<size_t>(width),
             type,
             0,
             -1};
    return true;
  }

  void leave() {
    const OpenMessage& message = top();
    const int64_t saved = saved_ - message.savedBefore;
    if (saved > 0) {
      reader_.patchLength(message.keptOffset, static_cast<uint64_t>(message.byteLength - saved), message.width);
    }
    depth_--;
  }

  // Leaves a payload out and puts a token in its place, unless it is small or the second of its tensor.
  bool elide(uint8_t content, int64_t lengthOffset, int64_t byteLength, bool* isElided) {
    const int field = content == kRaw ? kRawData : content == kFloat ? kFloatData : content == kDouble ? kDoubleData : -1;
    if (field < 0 || byteLength < rules_.payloadThreshold) return true;
    OpenMessage& tensor = top();
    if (tensor.elided >= 0 && (tensor.elided != field || field != kRawData)) return true;
    tensor.elided = field;
    // The length of the token, its nonce, its number; doubles come by eight bytes.
    uint8_t token[1 + kNonceBytes + 8] = {};
    const size_t tokenLength = kNonceBytes + (field == kDoubleData ? 8 : 4);
    const uint32_t index = static_cast<uint32_t>(skeleton_.payloads.size());
    token[0] = static_cast<uint8_t>(tokenLength);
    std::memcpy(token + 1, rules_.nonce, kNonceBytes);
    for (unsigned i = 0; i < 4; i++) token[1 + kNonceBytes + i] = static_cast<uint8_t>(index >> (8 * i));
    const int64_t byteOffset = reader_.offset();
    if (!reader_.replace(lengthOffset, byteLength, token, 1 + tokenLength)) return false;
    saved_ += byteOffset + byteLength - lengthOffset - static_cast<int64_t>(1 + tokenLength);
    skeleton_.payloads.push_back({byteOffset, byteLength, field});
    typedPayloads_ = typedPayloads_ || field != kRawData;
    *isElided = true;
    return true;
  }

  const ScanSource& source_;
  const ScanRules& rules_;
  Skeleton& skeleton_;
  Reader reader_;
  OpenMessage open_[kMaxDepth + 1];
  size_t depth_ = 0;
  int64_t saved_ = 0;
  double heap_ = 0;
  bool merges_ = false;
  bool typedPayloads_ = false;
};

}  // namespace

bool scanModel(const ScanSource& source, const ScanRules& rules, Skeleton* skeleton) {
  if (source.byteLength <= 0 || source.byteLength > INT32_MAX || rules.depthLimit > kMaxDepth) return false;
  try {
    return Scan(source, rules, skeleton).run();
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace lathe
