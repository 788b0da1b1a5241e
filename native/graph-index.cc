#include "graph-index.h"

#include "wire.h"

namespace lathe {

bool Numbers::grow(size_t needed) {
  constexpr size_t kLargest = size_t{1} << 30;
  constexpr size_t kStep = size_t{1} << 20;
  constexpr size_t kFirst = 256;
  if (needed > kLargest) return false;
  size_t capacity = capacity_ + (capacity_ < kStep ? capacity_ : kStep);
  if (capacity < needed) capacity = needed;
  if (capacity < kFirst) capacity = kFirst;
  void* const memory = std::realloc(owned_ ? data_ : nullptr, capacity * sizeof(int32_t));
  if (memory == nullptr) return false;
  if (!owned_ && length_ > 0) std::memcpy(memory, data_, length_ * sizeof(int32_t));
  data_ = static_cast<int32_t*>(memory);
  capacity_ = capacity;
  owned_ = true;
  return true;
}

bool Numbers::clear(size_t length) {
  void* const memory = std::calloc(length, sizeof(int32_t));
  if (memory == nullptr) return false;
  if (owned_) std::free(data_);
  data_ = static_cast<int32_t*>(memory);
  length_ = capacity_ = length;
  owned_ = true;
  return true;
}

namespace {

constexpr int32_t kNoName = 0;
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

uint32_t readWord(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

// hashOf of src/proto/name-table.ts.
uint32_t hashOf(uint32_t basis, const uint8_t* bytes, size_t length) {
  constexpr uint32_t kMix = 0xcc9e2d51, kFinish = 0x85ebca6b;
  uint32_t hash = basis ^ static_cast<uint32_t>(length);
  if (length < 4) {
    for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * kMix;
  } else {
    for (size_t i = 0; i < length - 4; i += 4) {
      hash = (hash ^ readWord(bytes + i)) * kMix;
      hash ^= hash >> 15;
    }
    hash = (hash ^ readWord(bytes + length - 4)) * kMix;
  }
  hash = (hash ^ (hash >> 16)) * kFinish;
  return hash ^ (hash >> 13);
}

class Indexer {
 public:
  explicit Indexer(GraphTables* tables)
      : tables_(*tables),
        tape_(tables->tape),
        names_(tables->names),
        slots_(tables->slots),
        firstCount_(tables->names.length() / kNameLength) {}

  bool run(size_t start, size_t end, const int32_t fields[kListCount], GraphPlaces* places) {
    Numbers lists[kListCount];
    // Names that writers give take some 100 bytes of a graph each: room for those spares spreading them time and again.
    size_t room = slots_.capacity();
    while (room < (end - start) / kBytesPerSlot) room *= 2;
    if (room > slots_.capacity() && !spread(room)) return false;
    Wire wire = {tables_.bytes, start, end};
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
      if (!pass(static_cast<List>(list), {tables_.bytes, wire.position, messageEnd}, &mark)) return false;
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

  // Takes every new name out of the slots that JavaScript gave. They leave in the reverse order, so that no chain of
  // slots is cut.
  void restoreSlots() {
    if (slots_.owned()) return;
    const size_t mask = slots_.capacity() - 1;
    for (size_t id = names_.length() / kNameLength; id-- > firstCount_;) {
      size_t slot = static_cast<uint32_t>(names_[id * kNameLength + 2]) & mask;
      for (size_t steps = 0; slots_[slot] != static_cast<int32_t>(id) && steps <= mask; steps++) slot = (slot + 1) & mask;
      if (slots_[slot] == static_cast<int32_t>(id)) slots_[slot] = 0;
    }
  }

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
    return intern(start, length, id);
  }

  bool intern(size_t start, size_t length, int32_t* id) {
    const size_t count = names_.length() / kNameLength;
    if (count * 2 >= slots_.capacity() && !spread(slots_.capacity() * 2)) return false;
    const uint8_t* const bytes = tables_.bytes + start;
    const uint32_t hash = hashOf(tables_.hashBasis, bytes, length);
    const size_t mask = slots_.capacity() - 1;
    size_t slot = hash & mask;
    // At most half of the slots are taken, if they are what JavaScript says; if not, this ends all the same.
    for (size_t steps = 0; slots_[slot] != 0; slot = (slot + 1) & mask) {
      const size_t known = static_cast<uint32_t>(slots_[slot]);
      if (known >= count || ++steps > mask) return false;
      const int32_t* const name = names_.data() + known * kNameLength;
      if (static_cast<uint32_t>(name[2]) != hash || static_cast<uint32_t>(name[1]) != length) continue;
      const size_t knownStart = static_cast<uint32_t>(name[0]);
      if (knownStart > tables_.byteLength || length > tables_.byteLength - knownStart) return false;
      if (std::memcmp(tables_.bytes + knownStart, bytes, length) != 0) continue;
      *id = static_cast<int32_t>(known);
      return true;
    }
    if (!names_.push(static_cast<int32_t>(start)) || !names_.push(static_cast<int32_t>(length)) ||
        !names_.push(static_cast<int32_t>(hash))) {
      return false;
    }
    *id = slots_[slot] = static_cast<int32_t>(count);
    return true;
  }

  // Moves the names to `room` slots, a power of two.
  bool spread(size_t room) {
    Numbers larger;
    if (!larger.clear(room)) return false;
    const size_t mask = larger.capacity() - 1;
    for (size_t id = 1; id < names_.length() / kNameLength; id++) {
      size_t slot = static_cast<uint32_t>(names_[id * kNameLength + 2]) & mask;
      while (larger[slot] != 0) slot = (slot + 1) & mask;
      larger[slot] = static_cast<int32_t>(id);
    }
    restoreSlots();
    slots_ = std::move(larger);
    return true;
  }

  GraphTables& tables_;
  Numbers& tape_;
  Numbers& names_;
  Numbers& slots_;
  const size_t firstCount_;
};

}  // namespace

bool indexGraph(GraphTables* tables, size_t start, size_t end, const int32_t fields[kListCount], GraphPlaces* places) {
  Indexer indexer(tables);
  if (indexer.run(start, end, fields, places)) return true;
  indexer.restoreSlots();
  return false;
}

}  // namespace lathe
