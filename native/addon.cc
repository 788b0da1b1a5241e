// The border: Node-API on one side, plain C++ on the other. It converts arguments and words nothing: errors are
// objects with `code` and `errno` (for a program also `tile`, `file`, `offset`, `phase`), TypeScript writes the
// sentence. No policy here.

#define NAPI_VERSION 8
#include <node_api.h>
#include <uv.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "io.h"
#include "jobs.h"

namespace {

using namespace lathe;

// Raised by one whenever the shape of a call changes; src/native.ts refuses an addon built from other sources.
constexpr uint32_t kBorderVersion = 1;

napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value text(napi_env env, const char* value) {
  napi_value result;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

napi_value get(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  napi_get_named_property(env, object, name, &value);
  return value;
}

// An Error whose message and `code` are the name of the errno, as in Node's own system errors.
napi_value systemError(napi_env env, int error) {
  char name[32] = "END_OF_FILE";
  if (error != kEndOfFile) uv_err_name_r(-error, name, sizeof name);
  napi_value object;
  napi_create_error(env, text(env, name), text(env, name), &object);
  set(env, object, "errno", number(env, error));
  return object;
}

napi_value throwSystem(napi_env env, int error) {
  napi_throw(env, systemError(env, error));
  return nullptr;
}

napi_value throwArgument(napi_env env, const char* what) {
  napi_throw_type_error(env, "ERR_NATIVE_ARGUMENT", what);
  return nullptr;
}

// Up to eight arguments; those that are absent are undefined.
struct Arguments {
  napi_value values[8];
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = 8;
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  napi_value operator[](size_t index) const { return values[index]; }
};

bool toInteger(napi_env env, napi_value value, int64_t* result) {
  double number;
  if (value == nullptr || napi_get_value_double(env, value, &number) != napi_ok) return false;
  if (!(std::fabs(number) <= 9007199254740991.0) || number != std::floor(number)) return false;
  *result = static_cast<int64_t>(number);
  return true;
}

bool toDescriptor(napi_env env, napi_value value, int* result) {
  int64_t number;
  if (!toInteger(env, value, &number) || number < 0 || number > INT32_MAX) return false;
  *result = static_cast<int>(number);
  return true;
}

bool toString(napi_env env, napi_value value, std::string* result) {
  size_t length;
  if (value == nullptr || napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  result->resize(length + 1);
  napi_get_value_string_utf8(env, value, &(*result)[0], length + 1, &length);
  result->resize(length);
  return result->find('\0') == std::string::npos;
}

bool toBoolean(napi_env env, napi_value value) {
  bool result = false;
  return value != nullptr && napi_get_value_bool(env, value, &result) == napi_ok && result;
}

// View of a typed array of the given type; nothing is copied.
template <typename Element>
bool toArray(napi_env env, napi_value value, napi_typedarray_type expected, const Element** data, size_t* length) {
  bool isArray = false;
  if (value == nullptr || napi_is_typedarray(env, value, &isArray) != napi_ok || !isArray) return false;
  napi_typedarray_type type;
  void* memory;
  if (napi_get_typedarray_info(env, value, &type, length, &memory, nullptr, nullptr) != napi_ok) return false;
  *data = static_cast<const Element*>(memory);
  return type == expected;
}

napi_value info(napi_env env, napi_callback_info) {
  napi_value object, names;
  napi_create_object(env, &object);
  napi_create_array(env, &names);
  uint32_t count = 0;
  for (const char* name : {"plain", "avx2", "avx512"}) {
    if (kernelTable(name) != nullptr) napi_set_element(env, names, count++, text(env, name));
  }
  set(env, object, "border", number(env, kBorderVersion));
  set(env, object, "isa", text(env, kernelTable(nullptr)->name));
  set(env, object, "supported", names);
  return object;
}

napi_value openBeneath(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  int directory, fd;
  std::string path;
  if (!toDescriptor(env, arguments[0], &directory)) return throwArgument(env, "directory");
  if (!toString(env, arguments[1], &path)) return throwArgument(env, "path");
  const int error = lathe::openBeneath(directory, path.c_str(), &fd);
  if (error == ENOSYS) return undefined(env);
  return error == 0 ? number(env, fd) : throwSystem(env, error);
}

napi_value preallocate(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  int fd;
  int64_t offset, length;
  if (!toDescriptor(env, arguments[0], &fd)) return throwArgument(env, "fd");
  if (!toInteger(env, arguments[1], &offset) || offset < 0) return throwArgument(env, "offset");
  if (!toInteger(env, arguments[2], &length) || length < 0) return throwArgument(env, "length");
  const int error = lathe::preallocate(fd, offset, length);
  return error == 0 ? undefined(env) : throwSystem(env, error);
}

napi_value renameExchange(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  std::string a, b;
  if (!toString(env, arguments[0], &a) || !toString(env, arguments[1], &b)) return throwArgument(env, "path");
  const int error = lathe::renameExchange(a.c_str(), b.c_str());
  return error == 0 ? undefined(env) : throwSystem(env, error);
}

napi_value reflinkRange(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  int source, target;
  int64_t sourceOffset, length, targetOffset;
  if (!toDescriptor(env, arguments[0], &source) || !toInteger(env, arguments[1], &sourceOffset) ||
      !toInteger(env, arguments[2], &length) || !toDescriptor(env, arguments[3], &target) ||
      !toInteger(env, arguments[4], &targetOffset)) {
    return throwArgument(env, "range");
  }
  const int error = lathe::reflinkRange(source, sourceOffset, length, target, targetOffset);
  return error == 0 ? undefined(env) : throwSystem(env, error);
}

Job toJob(const double* fields) {
  const auto unsignedField = [fields](int index) { return static_cast<uint32_t>(fields[index]); };
  Job job;
  job.kernel = static_cast<KernelId>(unsignedField(0));
  job.type = static_cast<FloatType>(unsignedField(1));
  job.bits = unsignedField(2);
  job.blockSize = unsignedField(3);
  job.symmetric = fields[4] != 0;
  job.columns = fields[5] != 0;
  job.n = static_cast<int64_t>(fields[6]);
  job.k = static_cast<int64_t>(fields[7]);
  job.scaleType = static_cast<FloatType>(unsignedField(8));
  job.hasZeroPoints = fields[9] != 0;
  job.elementBytes = unsignedField(10);
  job.transposed = fields[11] != 0;
  return job;
}

bool toJobs(napi_env env, napi_value value, std::vector<Job>* jobs) {
  const double* fields;
  size_t length;
  if (!toArray(env, value, napi_float64_array, &fields, &length) || length % kJobFields != 0) return false;
  for (size_t i = 0; i < length; i++) {
    if (!(fields[i] >= 0 && fields[i] <= 9007199254740991.0)) return false;
    if (i % kJobFields != 6 && i % kJobFields != 7 && fields[i] > 65535) return false;
  }
  for (size_t i = 0; i < length; i += kJobFields) jobs->push_back(toJob(fields + i));
  return true;
}

// A run, its promise and the way back to the JavaScript thread. Lives until the thread-safe function is finalized;
// JavaScript's handle shares the Run. `options` keeps the arrays alive that hold the tiles.
struct RunRequest {
  std::shared_ptr<Run> run;
  napi_ref options;
  napi_deferred deferred;
  napi_threadsafe_function toMain;
};

// The environment goes away (a worker is terminated, say) while threads run: they must not outlive it.
void stopAtExit(void* data) {
  Run* const run = static_cast<RunRequest*>(data)->run.get();
  run->cancel();
  run->join();
}

void settle(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;
  RunRequest* const request = static_cast<RunRequest*>(context);
  Run& run = *request->run;
  run.join();
  napi_remove_env_cleanup_hook(env, stopAtExit, request);
  napi_delete_reference(env, request->options);

  const Stop& stop = run.stop();
  if (stop.kind == Stop::kRead || stop.kind == Stop::kWrite) {
    const napi_value error = systemError(env, stop.error);
    set(env, error, "phase", text(env, stop.kind == Stop::kRead ? "read" : "write"));
    set(env, error, "tile", number(env, static_cast<double>(stop.tile)));
    set(env, error, "file", number(env, static_cast<double>(stop.file)));
    set(env, error, "offset", number(env, static_cast<double>(stop.offset)));
    napi_reject_deferred(env, request->deferred, error);
    return;
  }

  napi_value result, folds, buffer;
  napi_create_object(env, &result);
  void* memory;
  const size_t count = run.folds().size();
  napi_create_arraybuffer(env, count * sizeof(double), &memory, &buffer);
  if (count > 0) memcpy(memory, run.folds().data(), count * sizeof(double));
  napi_create_typedarray(env, napi_float64_array, count, buffer, 0, &folds);
  set(env, result, "bytesRead", number(env, static_cast<double>(run.bytesDone())));
  set(env, result, "bytesWritten", number(env, static_cast<double>(run.bytesWritten())));
  set(env, result, "folds", folds);
  napi_value cancelled;
  napi_get_boolean(env, run.cancelled(), &cancelled);
  set(env, result, "cancelled", cancelled);
  if (stop.kind == Stop::kNonFinite) {
    napi_value hit;
    napi_create_object(env, &hit);
    set(env, hit, "tile", number(env, static_cast<double>(stop.tile)));
    set(env, hit, "index", number(env, static_cast<double>(stop.offset)));
    set(env, result, "nonFinite", hit);
  }
  napi_resolve_deferred(env, request->deferred, result);
}

void releaseRequest(napi_env, void*, void* context) { delete static_cast<RunRequest*>(context); }

void releaseHandle(napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Run>*>(data); }

// runProgram({ jobs, tiles, starts, inputs, outputs, slots, scratchBytes, threads, mapped, isa })
// → { handle, finished: Promise }
napi_value runProgram(napi_env env, napi_callback_info call) {
  const napi_value options = Arguments(env, call)[0];
  Program program;

  const double* slots;
  const int32_t *inputs, *outputs;
  size_t inputCount, outputCount, slotCount;
  if (!toJobs(env, get(env, options, "jobs"), &program.jobs)) return throwArgument(env, "jobs");
  if (!toArray(env, get(env, options, "tiles"), napi_float64_array, &program.words, &program.wordCount) ||
      !toArray(env, get(env, options, "starts"), napi_uint32_array, &program.starts, &program.tileCount) ||
      !toArray(env, get(env, options, "inputs"), napi_int32_array, &inputs, &inputCount) ||
      !toArray(env, get(env, options, "outputs"), napi_int32_array, &outputs, &outputCount) ||
      !toArray(env, get(env, options, "slots"), napi_float64_array, &slots, &slotCount)) {
    return throwArgument(env, "arrays");
  }
  program.inputs.assign(inputs, inputs + inputCount);
  program.outputs.assign(outputs, outputs + outputCount);
  for (size_t i = 0; i < slotCount; i++) {
    if (!(slots[i] >= 0 && slots[i] <= 1e15)) return throwArgument(env, "slots");
    program.slots.push_back(static_cast<int64_t>(slots[i]));
  }

  int64_t threads;
  std::string isa;
  if (!toInteger(env, get(env, options, "scratchBytes"), &program.scratchBytes) || program.scratchBytes < 0) {
    return throwArgument(env, "scratchBytes");
  }
  if (!toInteger(env, get(env, options, "threads"), &threads) || threads < 1 || threads > 4096) {
    return throwArgument(env, "threads");
  }
  program.mapped = toBoolean(env, get(env, options, "mapped"));
  const bool chosen = toString(env, get(env, options, "isa"), &isa);
  program.kernels = kernelTable(chosen ? isa.c_str() : nullptr);
  if (program.kernels == nullptr) return throwArgument(env, "isa");
  if (const char* const defect = program.defect()) return throwArgument(env, defect);

  RunRequest* const request = new RunRequest{std::make_shared<Run>(std::move(program)), nullptr, nullptr, nullptr};
  napi_value promise;
  napi_create_reference(env, options, 1, &request->options);
  napi_create_promise(env, &request->deferred, &promise);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, text(env, "lathe.runProgram"), 1, 1, nullptr,
                                      releaseRequest, request, settle, &request->toMain) != napi_ok) {
    delete request;
    return throwSystem(env, ENOMEM);
  }
  // After the function above, because hooks run in reverse: the threads end before it does.
  napi_add_env_cleanup_hook(env, stopAtExit, request);
  const napi_threadsafe_function toMain = request->toMain;
  const bool started = request->run->start(static_cast<int>(threads), [toMain] {
    napi_call_threadsafe_function(toMain, nullptr, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(toMain, napi_tsfn_release);
  });
  auto* const shared = new std::shared_ptr<Run>(request->run);
  if (!started) {
    napi_remove_env_cleanup_hook(env, stopAtExit, request);
    napi_delete_reference(env, request->options);
    napi_reject_deferred(env, request->deferred, systemError(env, ENOMEM));
    napi_release_threadsafe_function(toMain, napi_tsfn_abort);
  }

  napi_value result, handle;
  napi_create_external(env, shared, releaseHandle, nullptr, &handle);
  napi_create_object(env, &result);
  set(env, result, "handle", handle);
  set(env, result, "finished", promise);
  return result;
}

Run* toRun(napi_env env, napi_value value) {
  napi_valuetype type;
  void* data = nullptr;
  if (value == nullptr || napi_typeof(env, value, &type) != napi_ok || type != napi_external) return nullptr;
  napi_get_value_external(env, value, &data);
  return static_cast<std::shared_ptr<Run>*>(data)->get();
}

napi_value progress(napi_env env, napi_callback_info call) {
  const Run* const run = toRun(env, Arguments(env, call)[0]);
  return run == nullptr ? throwArgument(env, "handle") : number(env, static_cast<double>(run->bytesDone()));
}

napi_value cancel(napi_env env, napi_callback_info call) {
  Run* const run = toRun(env, Arguments(env, call)[0]);
  if (run == nullptr) return throwArgument(env, "handle");
  run->cancel();
  return undefined(env);
}

// quantizeBuffer(isa, fields of one job, source, codes, scales, zeroPoints) → index of the first non-finite or -1
napi_value quantizeBuffer(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  std::string isa;
  std::vector<Job> jobs;
  const uint8_t *source, *codes, *scales, *zeroPoints;
  size_t sourceLength, codesLength, scalesLength, zeroPointsLength;
  if (!toString(env, arguments[0], &isa)) return throwArgument(env, "isa");
  const KernelTable* const kernels = kernelTable(isa.c_str());
  if (kernels == nullptr) return throwArgument(env, "isa");
  if (!toJobs(env, arguments[1], &jobs) || jobs.size() != 1 || jobDefect(jobs[0]) != nullptr ||
      jobs[0].kernel != KernelId::kQuantize) {
    return throwArgument(env, "job");
  }
  if (!toArray(env, arguments[2], napi_uint8_array, &source, &sourceLength) ||
      !toArray(env, arguments[3], napi_uint8_array, &codes, &codesLength) ||
      !toArray(env, arguments[4], napi_uint8_array, &scales, &scalesLength) ||
      !toArray(env, arguments[5], napi_uint8_array, &zeroPoints, &zeroPointsLength)) {
    return throwArgument(env, "buffers");
  }
  const Job& job = jobs[0];
  const ChannelStrides strides = channelStrides(job, job.k);
  const auto holds = [&job](size_t length, int64_t stride) {
    return static_cast<double>(length) >= static_cast<double>(job.n) * static_cast<double>(stride);
  };
  if (!holds(sourceLength, job.k * elementSize(job.type)) || !holds(codesLength, strides.codes) ||
      !holds(scalesLength, strides.scales) || !holds(zeroPointsLength, strides.zeroPoints)) {
    return throwArgument(env, "buffer lengths");
  }
  const QuantizeParams params = {job.type, job.bits, job.blockSize, job.symmetric, job.k};
  const QuantizeOutput out = {const_cast<uint8_t*>(codes),
                              strides.codes,
                              const_cast<uint8_t*>(scales),
                              strides.scales,
                              job.symmetric ? nullptr : const_cast<uint8_t*>(zeroPoints),
                              strides.zeroPoints};
  const ElementIndex hit =
      job.columns ? kernels->quantizeColumns(params, source, job.n * elementSize(job.type), job.k, job.n, out)
                  : kernels->quantizeRows(params, source, job.n, out);
  return number(env, static_cast<double>(hit));
}

napi_value initialize(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback callback;
  } functions[] = {
      {"info", info},
      {"openBeneath", openBeneath},
      {"preallocate", preallocate},
      {"renameExchange", renameExchange},
      {"reflinkRange", reflinkRange},
      {"runProgram", runProgram},
      {"progress", progress},
      {"cancel", cancel},
      {"quantizeBuffer", quantizeBuffer},
  };
  for (const auto& function : functions) {
    napi_value value;
    napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.callback, nullptr, &value);
    set(env, exports, function.name, value);
  }
  return exports;
}

}  // namespace

NAPI_MODULE(lathe, initialize)
