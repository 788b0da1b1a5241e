#include "skeleton.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace lathe {

namespace {

// Codes of the layout, as src/proto/walk.ts has them.
enum Content : uint8_t { kLeaf = 0, kInt64 = 32, kInt32 = 33, kFloat = 34, kDouble = 35, kRaw = 36, kContentMask = 63 };
constexpr uint8_t kMerges = 64;

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
  WindowReader reader_;
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
