#include "addon-graph.h"

#include "graph-index.h"
#include "skeleton.h"
#include "tensor-headers.h"
#include "values.h"

namespace lathe {

namespace {

// An ArrayBuffer over `memory`, which JavaScript frees when it is done; where the runtime wants all memory to be its
// own, a copy.
napi_value ownedBuffer(napi_env env, void* memory, size_t byteLength) {
  napi_value buffer = nullptr;
  const auto release = [](napi_env, void* data, void*) { std::free(data); };
  if (byteLength > 0 &&
      napi_create_external_arraybuffer(env, memory, byteLength, release, nullptr, &buffer) == napi_ok) {
    return buffer;
  }
  void* copy = nullptr;
  if (napi_create_arraybuffer(env, byteLength, &copy, &buffer) != napi_ok) buffer = nullptr;
  if (buffer != nullptr && byteLength > 0) std::memcpy(copy, memory, byteLength);
  std::free(memory);
  return buffer;
}

napi_value toJavaScript(napi_env env, Numbers* numbers, size_t length) {
  napi_value array = nullptr;
  const napi_value buffer = ownedBuffer(env, numbers->release(), length * sizeof(int32_t));
  if (buffer != nullptr) napi_create_typedarray(env, napi_int32_array, length, buffer, 0, &array);
  return array;
}

// The table that JavaScript gave, `length` of it in use.
bool toNumbers(napi_env env, napi_value value, int64_t length, Numbers* numbers) {
  const int32_t* data;
  size_t capacity;
  if (!toArray(env, value, napi_int32_array, &data, &capacity)) return false;
  if (length < 0 || static_cast<uint64_t>(length) > capacity) return false;
  *numbers = Numbers(const_cast<int32_t*>(data), static_cast<size_t>(length), capacity);
  return true;
}

bool isPowerOfTwo(size_t value) { return value > 0 && (value & (value - 1)) == 0; }

// The table to give back: the one that came, if it had room enough.
napi_value tableFor(napi_env env, napi_value given, Numbers* numbers) {
  return numbers->owned() ? toJavaScript(env, numbers, numbers->capacity()) : given;
}

}  // namespace

napi_value indexGraph(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  const napi_value graph = arguments[0];
  const napi_value tape = get(env, graph, "tape"), names = get(env, graph, "names"), slots = get(env, graph, "slots");
  int64_t start, end, tapeLength, nameCount, hashBasis;
  const int32_t* fields;
  size_t fieldCount;
  GraphTables tables = {};
  if (!toArray(env, get(env, graph, "bytes"), napi_uint8_array, &tables.names.bytes, &tables.names.byteLength) ||
      tables.names.byteLength > INT32_MAX) {
    return throwArgument(env, "bytes");
  }
  if (!toInteger(env, get(env, graph, "start"), &start) || !toInteger(env, get(env, graph, "end"), &end) || start < 0 ||
      start > end || static_cast<uint64_t>(end) > tables.names.byteLength) {
    return throwArgument(env, "range");
  }
  if (!toArray(env, get(env, graph, "fields"), napi_int32_array, &fields, &fieldCount) || fieldCount != kListCount) {
    return throwArgument(env, "fields");
  }
  if (!toInteger(env, get(env, graph, "tapeLength"), &tapeLength) || !toNumbers(env, tape, tapeLength, &tables.tape) ||
      !toInteger(env, get(env, graph, "nameCount"), &nameCount) || nameCount < 1 || nameCount > INT32_MAX ||
      !toNumbers(env, names, nameCount * static_cast<int64_t>(kNameLength), &tables.names.names) ||
      !toNumbers(env, slots, 0, &tables.names.slots) || !isPowerOfTwo(tables.names.slots.capacity()) ||
      !toInteger(env, get(env, graph, "hashBasis"), &hashBasis)) {
    return throwArgument(env, "tables");
  }
  tables.names.hashBasis = static_cast<uint32_t>(hashBasis);
  if (!toArray(env, get(env, graph, "tokenPrefix"), napi_uint8_array, &tables.tokenPrefix, &tables.tokenPrefixLength) ||
      tables.tokenPrefixLength > kTokenLength) {
    return throwArgument(env, "tokenPrefix");
  }
  GraphPlaces places;
  const bool done =
      indexGraph(&tables, static_cast<size_t>(start), static_cast<size_t>(end), fields, &places);
  if (!done) return undefined(env);
  Numbers counts;
  for (const int32_t count : places.counts) {
    if (!counts.push(count)) return undefined(env);
  }
  napi_value result;
  napi_create_object(env, &result);
  set(env, result, "tapeLength", number(env, static_cast<double>(tables.tape.length())));
  set(env, result, "nameCount", number(env, static_cast<double>(tables.names.names.length() / kNameLength)));
  set(env, result, "tape", tableFor(env, tape, &tables.tape));
  set(env, result, "names", tableFor(env, names, &tables.names.names));
  set(env, result, "slots", tableFor(env, slots, &tables.names.slots));
  set(env, result, "at", number(env, static_cast<double>(places.at)));
  set(env, result, "counts", toJavaScript(env, &counts, kListCount));
  set(env, result, "others", toJavaScript(env, &places.others, places.others.length()));
  return result;
}

namespace {

bool toRules(napi_env env, napi_value value, ScanRules* rules) {
  const uint8_t* layout;
  const uint16_t* wholeBelow;
  const double* limits;
  size_t layoutLength, wholeBelowCount, limitCount, nonceLength;
  if (!toArray(env, get(env, value, "layout"), napi_uint8_array, &layout, &layoutLength) ||
      layoutLength % kFieldsPerMessage != 0 ||
      !toArray(env, get(env, value, "wholeBelow"), napi_uint16_array, &wholeBelow, &wholeBelowCount) ||
      !toArray(env, get(env, value, "limits"), napi_float64_array, &limits, &limitCount) || limitCount != 9 ||
      !toArray(env, get(env, value, "nonce"), napi_uint8_array, &rules->nonce, &nonceLength) ||
      nonceLength != kNonceBytes) {
    return false;
  }
  for (size_t i = 0; i < limitCount; i++) {
    if (!(limits[i] >= 0 && limits[i] <= 1e15)) return false;
  }
  rules->layout = layout;
  rules->messageTypes = layoutLength / kFieldsPerMessage;
  rules->wholeBelow = wholeBelow;
  rules->wholeBelowCount = wholeBelowCount;
  rules->tensorType = static_cast<uint32_t>(limits[0]);
  rules->depthLimit = static_cast<size_t>(limits[1]);
  rules->payloadThreshold = static_cast<int64_t>(limits[2]);
  rules->skeletonByteLimit = static_cast<int64_t>(limits[3]);
  rules->heapByteLimit = limits[4];
  rules->messageHeapBytes = limits[5];
  rules->fieldHeapBytes = limits[6];
  rules->int64HeapBytes = limits[7];
  rules->numberHeapBytes = limits[8];
  return rules->messageTypes > 0;
}

napi_value bytesToJavaScript(napi_env env, Bytes* bytes) {
  const size_t byteLength = bytes->length();
  napi_value array = nullptr;
  const napi_value buffer = ownedBuffer(env, bytes->release(), byteLength);
  if (buffer != nullptr) napi_create_typedarray(env, napi_uint8_array, byteLength, buffer, 0, &array);
  return array;
}

}  // namespace

napi_value scanModel(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  const napi_value options = arguments[0];
  ScanSource source = {};
  ScanRules rules = {};
  size_t length;
  if (toArray(env, get(env, options, "bytes"), napi_uint8_array, &source.memory, &length)) {
    source.byteLength = static_cast<int64_t>(length);
  } else if (!toDescriptor(env, get(env, options, "fd"), &source.fd) ||
             !toInteger(env, get(env, options, "byteLength"), &source.byteLength)) {
    return throwArgument(env, "source");
  }
  if (!toRules(env, options, &rules)) return throwArgument(env, "rules");
  Skeleton skeleton;
  if (!scanModel(source, rules, &skeleton)) return undefined(env);
  napi_value result, buffer = nullptr, payloads;
  void* memory = nullptr;
  const size_t count = skeleton.payloads.size();
  napi_create_object(env, &result);
  if (napi_create_arraybuffer(env, count * 3 * sizeof(double), &memory, &buffer) != napi_ok) return undefined(env);
  double* to = static_cast<double*>(memory);
  for (const ScannedPayload& payload : skeleton.payloads) {
    *to++ = static_cast<double>(payload.byteOffset);
    *to++ = static_cast<double>(payload.byteLength);
    *to++ = payload.field;
  }
  napi_create_typedarray(env, napi_float64_array, count * 3, buffer, 0, &payloads);
  set(env, result, "payloads", payloads);
  set(env, result, "bytes", skeleton.isSource ? get(env, options, "bytes") : bytesToJavaScript(env, &skeleton.bytes));
  return result;
}

napi_value describeTensors(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  const uint8_t* bytes;
  const int32_t* tape;
  const double* rows;
  size_t byteLength, tapeLength, rowsLength;
  int64_t at;
  if (!toArray(env, arguments[0], napi_uint8_array, &bytes, &byteLength)) return throwArgument(env, "bytes");
  if (!toArray(env, arguments[1], napi_int32_array, &tape, &tapeLength)) return throwArgument(env, "tape");
  if (!toArray(env, arguments[3], napi_float64_array, &rows, &rowsLength) || rowsLength % kRowLength != 0) {
    return throwArgument(env, "rows");
  }
  const size_t count = rowsLength / kRowLength;
  if (!toInteger(env, arguments[2], &at) || at < 0 || static_cast<uint64_t>(at) > tapeLength ||
      count > (tapeLength - static_cast<size_t>(at)) / 3) {
    return throwArgument(env, "at");
  }
  describeTensors(bytes, byteLength, tape + at, count, const_cast<double*>(rows));
  return undefined(env);
}

}  // namespace lathe
