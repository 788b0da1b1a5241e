// The border: Node-API on one side, plain C++ on the other. No policy here. What the functions promise: NativeAddon in
// src/native.ts.
#include <cerrno>
#include <string>

#include "addon-graph.h"
#include "addon-measure.h"
#include "addon-run.h"
#include "program.h"
#include "values.h"

namespace {

using namespace lathe;

// Raised by one whenever the shape of a call changes; src/native.ts refuses an addon built from other sources.
constexpr uint32_t kBorderVersion = 7;

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

napi_value randomFill(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  const uint8_t* bytes;
  size_t length;
  if (!toArray(env, arguments[0], napi_uint8_array, &bytes, &length)) return throwArgument(env, "bytes");
  const int error = lathe::randomFill(const_cast<uint8_t*>(bytes), length);
  return error == 0 ? undefined(env) : throwSystem(env, error);
}

bool toUnsigned(napi_env env, napi_value value, uint32_t* result) {
  int64_t number;
  if (!toInteger(env, value, &number) || number < 0 || number > UINT32_MAX) return false;
  *result = static_cast<uint32_t>(number);
  return true;
}

// A quantize job from QuantizeParameters of src/kernels/kernel.ts.
bool toQuantizeJob(napi_env env, napi_value parameters, Job* job) {
  uint32_t type;
  std::string layout, method;
  *job = {};
  job->kernel = KernelId::kQuantize;
  job->symmetric = toBoolean(env, get(env, parameters, "symmetric"));
  if (!toUnsigned(env, get(env, parameters, "type"), &type) ||
      !toUnsigned(env, get(env, parameters, "bits"), &job->bits) ||
      !toUnsigned(env, get(env, parameters, "blockSize"), &job->blockSize) ||
      !toString(env, get(env, parameters, "layout"), &layout) ||
      !toString(env, get(env, parameters, "method"), &method) || !toInteger(env, get(env, parameters, "n"), &job->n) ||
      !toInteger(env, get(env, parameters, "k"), &job->k)) {
    return false;
  }
  job->type = static_cast<FloatType>(type);
  job->columns = layout == "columns";
  // In the order of QuantizeMethod.
  constexpr const char* kMethods[] = {"rtn",          "search",        "k-quant",              "olive-rtn",
                                      "olive-gather", "olive-k-quant", "olive-k-quant-single", "olive-int8"};
  uint32_t id = 0;
  while (method != kMethods[id]) {
    if (++id == sizeof kMethods / sizeof *kMethods) return false;
  }
  job->method = static_cast<QuantizeMethod>(id);
  return jobDefect(*job) == nullptr;
}

// The arguments of the two below: isa, parameters, source, codes, scales, zeroPoints. Columns are one strip.
struct WholeWeight {
  const KernelTable* kernels;
  Job job;
  QuantizeParams params;
  const uint8_t* source;
  QuantizeOutput out;

  // Null, or which argument is not what it has to be.
  const char* read(napi_env env, const Arguments& arguments) {
    std::string isa;
    const uint8_t *codes, *scales, *zeroPoints;
    size_t sourceLength, codesLength, scalesLength, zeroPointsLength;
    if (!toString(env, arguments[0], &isa)) return "isa";
    kernels = kernelTable(isa.c_str());
    if (kernels == nullptr) return "isa";
    if (!toQuantizeJob(env, arguments[1], &job)) return "parameters";
    if (!toArray(env, arguments[2], napi_uint8_array, &source, &sourceLength) ||
        !toArray(env, arguments[3], napi_uint8_array, &codes, &codesLength) ||
        !toArray(env, arguments[4], napi_uint8_array, &scales, &scalesLength) ||
        !toArray(env, arguments[5], napi_uint8_array, &zeroPoints, &zeroPointsLength)) {
      return "buffers";
    }
    const ChannelStrides strides = channelStrides(job, job.k);
    const auto holds = [this](size_t length, int64_t stride) {
      return static_cast<double>(length) >= static_cast<double>(job.n) * static_cast<double>(stride);
    };
    if (!holds(sourceLength, job.k * elementSize(job.type)) || !holds(codesLength, strides.codes) ||
        !holds(scalesLength, strides.scales) || !holds(zeroPointsLength, strides.zeroPoints)) {
      return "buffer lengths";
    }
    params = {job.method, job.type, job.bits, job.blockSize, job.symmetric, job.k};
    out = {const_cast<uint8_t*>(codes),
           strides.codes,
           const_cast<uint8_t*>(scales),
           strides.scales,
           job.symmetric ? nullptr : const_cast<uint8_t*>(zeroPoints),
           strides.zeroPoints};
    return nullptr;
  }

  int64_t rowStride() const { return job.n * elementSize(job.type); }
};

// quantizeBuffer(…) → index of the first non-finite element or -1
napi_value quantizeBuffer(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  WholeWeight w;
  if (const char* const wrong = w.read(env, arguments)) return throwArgument(env, wrong);
  const ElementIndex hit =
      w.job.columns
          ? quantizeColumnsWith(*w.kernels, w.params, w.source, w.rowStride(), w.job.k, w.job.n, w.out)
          : quantizeRowsWith(*w.kernels, w.params, w.source, w.job.n, w.out);
  return number(env, static_cast<double>(hit));
}

// measureBuffer(…, errors), which must hold kErrorFields numbers
napi_value measureBuffer(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  WholeWeight w;
  const double* errors;
  size_t length;
  if (const char* const wrong = w.read(env, arguments)) return throwArgument(env, wrong);
  if (!toArray(env, arguments[6], napi_float64_array, &errors, &length) || length < kErrorFields) {
    return throwArgument(env, "errors");
  }
  ErrorSum sum;
  const ErrorPlace place = {0, w.job.k};
  if (w.job.columns) {
    w.kernels->measureColumns(w.params, w.source, w.rowStride(), w.job.k, w.job.n, w.out, place, &sum);
  } else {
    w.kernels->measureRows(w.params, w.source, w.job.n, w.out, place, &sum);
  }
  packError(sum, const_cast<double*>(errors));
  return undefined(env);
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
      {"randomFill", randomFill},
      {"scanModel", scanModel},
      {"indexGraph", indexGraph},
      {"describeTensors", describeTensors},
      {"runProgram", runProgram},
      {"progress", progress},
      {"cancel", cancel},
      {"quantizeBuffer", quantizeBuffer},
      {"measureBuffer", measureBuffer},
      {"measureBand", measureBand},
      {"unpackNumbers", unpackNumbers},
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
