#include "graph-index.h"

#include "wire.h"

namespace lathe {

namespace {

// Mark of a message that JavaScript decodes at once.
constexpr int32_t kDecoded = -1;
constexpr size_t kRecordLength = 5;
constexpr size_t kBytesPerSlot = 64;
// Values of raw_data from here on are never tokens.
constexpr size_t kPayloadThreshold = 256;

enum List { kNodes = 0, kTensors = 1, kInputs = 2, kOutputs = 3, kInfos = 4 };

// Tags: number × 8 + wire type.
namespace node {
enum : uint32_t { kInput = 10, kOutput = 18, kName = 26, kOpType = 34, kAttribute = 42, kDomain = 58 };
}
namespace tensor {
enum : uint32_t {
  kDim = 8,
  kDims = 10,
  kDataType = 16,
  kName = 66,
  kRawData = 74,
  kDocString = 98,
  kExternalData = 106,
  kDataLocation = 112,
  kMetadata = 130,
};
}
constexpr uint32_t kInterfaceName = 10;

class Indexer {
 public:
  explicit Indexer(GraphTables* tables)
      : tables_(*tables), bytes_(tables->names.bytes), tape_(tables->tape), names_(&tables->names) {}

  bool run(size_t start, size_t end, const int32_t fields[kListCount], GraphPlaces* places) {
    Numbers lists[kListCount];
    // Names that writers give take some 100 bytes of a graph each: room for those spares spreading them time and again.
    if (!names_.reserve((end - start) / kBytesPerSlot)) return false;
    Wire wire = {bytes_, start, end};
    while (!wire.done()) {
      const size_t fieldStart = wire.position;
      uint32_t tag;
      if (!wire.readTag(&tag)) return false;
      size_t list = kListCount;
      if ((tag & 7) == kLengthDelimited) {
        for (list = 0; list < kListCount && static_cast<uint32_t>(fields[list]) != tag >> 3;) list++;
      }
      if (list == kListCount) {
        if (!wire.skipField(tag) || !addOther(&places->others, fieldStart, wire.position)) return false;
        continue;
      }
      size_t length;
      int32_t mark;
      if (!wire.readLength(&length)) return false;
      const size_t messageEnd = wire.position + length;
      if (!pass(static_cast<List>(list), {bytes_, wire.position, messageEnd}, &mark)) return false;
      Numbers& to = lists[list];
      if (!to.push(mark) || !to.push(static_cast<int32_t>(wire.position)) ||
          !to.push(static_cast<int32_t>(messageEnd))) {
        return false;
      }
      wire.position = messageEnd;
      places->counts[list]++;
    }
    places->at = tape_.length();
    for (Numbers& list : lists) {
      if (!tape_.append(list)) return false;
    }
    return true;
  }

  void restoreSlots() { names_.restoreSlots(); }

 private:
  static bool addOther(Numbers* others, size_t start, size_t end) {
    const size_t length = others->length();
    if (length > 0 && (*others)[length - 1] == static_cast<int32_t>(start)) {
      (*others)[length - 1] = static_cast<int32_t>(end);
      return true;
    }
    return others->push(static_cast<int32_t>(start)) && others->push(static_cast<int32_t>(end));
  }

  bool pass(List list, Wire wire, int32_t* mark) {
    switch (list) {
      case kNodes:
        return passNode(wire, mark);
      case kTensors:
        return passTensor(wire, mark);
      case kInputs:
      case kOutputs:
        return passInterface(wire, mark);
      default:
        *mark = kNoName;
        return true;
    }
  }

  bool passNode(Wire wire, int32_t* mark) {
    const size_t at = tape_.length();
    int32_t inputs = 0, outputs = 0, name = kNoName, opType = kNoName, domain = kNoName, id;
    for (size_t i = 0; i < kRecordLength; i++) {
      if (!tape_.push(0)) return false;
    }
    bool isPlain = true;
    while (isPlain && !wire.done()) {
      uint32_t tag;
      if (!wire.readTag(&tag)) return false;
      bool good = true;
      if (tag == node::kInput) {
        good = passName(&wire, &id) && tape_.push(id);
        inputs++;
        isPlain = outputs == 0;
      } else if (tag == node::kOutput) {
        good = passName(&wire, &id) && tape_.push(id);
        outputs++;
      } else if (tag == node::kName) {
        good = passName(&wire, &name);
      } else if (tag == node::kOpType) {
        good = passName(&wire, &opType);
      } else if (tag == node::kDomain) {
        good = passName(&wire, &domain);
      } else if (tag == node::kAttribute) {
        good = passAttribute(&wire, &isPlain);
      } else {
        good = wire.skipField(tag);
      }
      if (!good) return false;
    }
    if (!isPlain) {
      tape_.drop(at);
      *mark = kDecoded;
      return true;
    }
    const int32_t record[kRecordLength] = {opType, domain, name, inputs, outputs};
    std::memcpy(tape_.data() + at, record, sizeof record);
    *mark = static_cast<int32_t>(at);
    return true;
  }

  static bool passAttribute(Wire* wire, bool* isPlain) {
    size_t length;
    if (!wire->readLength(&length)) return false;
    Wire fields = {wire->bytes, wire->position, wire->position + length};
    wire->position = fields.end;
    while (!fields.done()) {
      uint32_t tag;
      if (!fields.readTag(&tag) || !fields.skipField(tag)) return false;
      const uint32_t field = tag >> 3;
      // t, g, tensors, graphs, sparse_tensor, sparse_tensors
      if (field == 5 || field == 6 || field == 10 || field == 11 || field == 22 || field == 23) *isPlain = false;
    }
    return true;
  }

  bool passTensor(Wire wire, int32_t* mark) {
    int32_t name = kNoName;
    while (!wire.done()) {
      uint32_t tag;
      size_t length;
      if (!wire.readTag(&tag)) return false;
      switch (tag) {
        case tensor::kName:
          if (!passName(&wire, &name)) return false;
          break;
        case tensor::kRawData:
          if (!wire.readLength(&length)) return false;
          if (length < kPayloadThreshold && isToken(wire.bytes + wire.position, length)) {
            *mark = kDecoded;
            return true;
          }
          wire.position += length;
          break;
        case tensor::kDim:
        case tensor::kDims:
        case tensor::kDataType:
        case tensor::kDocString:
        case tensor::kExternalData:
        case tensor::kDataLocation:
        case tensor::kMetadata:
          if (!wire.skipField(tag)) return false;
          break;
        default:
          *mark = kDecoded;
          return true;
      }
    }
    *mark = name;
    return true;
  }

  bool passInterface(Wire wire, int32_t* mark) {
    *mark = kNoName;
    while (!wire.done()) {
      uint32_t tag;
      if (!wire.readTag(&tag)) return false;
      if (!(tag == kInterfaceName ? passName(&wire, mark) : wire.skipField(tag))) return false;
    }
    return true;
  }

  bool isToken(const uint8_t* bytes, size_t length) const {
    return length == kTokenLength && std::memcmp(bytes, tables_.tokenPrefix, tables_.tokenPrefixLength) == 0;
  }

  bool passName(Wire* wire, int32_t* id) {
    size_t length;
    if (!wire->readLength(&length)) return false;
    const size_t start = wire->position;
    wire->position += length;
    if (length == 0) {
      *id = kNoName;
      return true;
    }
    return names_.intern(start, length, id);
  }

  GraphTables& tables_;
  const uint8_t* const bytes_;
  Numbers& tape_;
  NameInterner names_;
};

}  // namespace

bool indexGraph(GraphTables* tables, size_t start, size_t end, const int32_t fields[kListCount], GraphPlaces* places) {
  Indexer indexer(tables);
  if (indexer.run(start, end, fields, places)) return true;
  indexer.restoreSlots();
  return false;
}

}  // namespace lathe
