// The skeleton of a serialized model: the twin of the quick walk in src/proto/walk.ts and of src/proto/skeleton.ts, which
// say what it is. Plain C++ without Node. Every byte is a stranger's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "window-reader.h"

namespace lathe {

constexpr size_t kFieldsPerMessage = 32;
constexpr size_t kMaxDepth = 127;
constexpr size_t kNonceBytes = 16;

// What the walk needs to know; the numbers are those of src/proto/limits.ts.
struct ScanRules {
  // Codes of fields, kFieldsPerMessage a message type.
  const uint8_t* layout;
  size_t messageTypes;
  // Byte lengths below which messages are passed over, by content code.
  const uint16_t* wholeBelow;
  size_t wholeBelowCount;
  uint32_t tensorType;
  size_t depthLimit;
  int64_t payloadThreshold;
  int64_t skeletonByteLimit;
  double heapByteLimit;
  double messageHeapBytes;
  double fieldHeapBytes;
  double int64HeapBytes;
  double numberHeapBytes;
  // Tokens begin with this.
  const uint8_t* nonce;
};

struct ScannedPayload {
  int64_t byteOffset;
  int64_t byteLength;
  // Entry of kPayloadFields.
  int field;
};

// raw_data, float_data, double_data: the order that src/proto/skeleton.ts expects.
enum PayloadField : int { kRawData = 0, kFloatData = 1, kDoubleData = 2 };

struct Skeleton {
  Bytes bytes;
  std::vector<ScannedPayload> payloads;
  // Nothing was left out of memory: the skeleton is the source.
  bool isSource = false;
};

// Scans a model. False where it is damaged, odd, too large, or cannot be read.
bool scanModel(const ScanSource& source, const ScanRules& rules, Skeleton* skeleton);

}  // namespace lathe
