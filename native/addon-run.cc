#include "addon-run.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "jobs.h"
#include "values.h"

namespace lathe {

namespace {

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
  job.method = static_cast<QuantizeMethod>(unsignedField(12));
  job.target = static_cast<FloatType>(unsignedField(13));
  job.adjust = fields[14] != 0;
  job.measured = fields[15] != 0;
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

// What was measured, kErrorFields numbers per job.
napi_value errorFields(napi_env env, const std::vector<ErrorSum>& errors) {
  napi_value array, buffer;
  void* memory;
  const size_t count = errors.size() * kErrorFields;
  napi_create_arraybuffer(env, count * sizeof(double), &memory, &buffer);
  for (size_t i = 0; i < errors.size(); i++) packError(errors[i], static_cast<double*>(memory) + i * kErrorFields);
  napi_create_typedarray(env, napi_float64_array, count, buffer, 0, &array);
  return array;
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
  set(env, result, "errors", errorFields(env, run.errors()));
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

Run* toRun(napi_env env, napi_value value) {
  napi_valuetype type;
  void* data = nullptr;
  if (value == nullptr || napi_typeof(env, value, &type) != napi_ok || type != napi_external) return nullptr;
  napi_get_value_external(env, value, &data);
  return static_cast<std::shared_ptr<Run>*>(data)->get();
}

}  // namespace

napi_value runProgram(napi_env env, napi_callback_info call) {
  const napi_value options = Arguments(env, call)[0];
  Program program;

  const int32_t *inputs, *outputs;
  size_t inputCount, outputCount;
  if (!toJobs(env, get(env, options, "jobs"), &program.jobs)) return throwArgument(env, "jobs");
  size_t tileNumbers;
  if (!toArray(env, get(env, options, "series"), napi_float64_array, &program.words, &program.wordCount) ||
      !toArray(env, get(env, options, "starts"), napi_uint32_array, &program.starts, &program.seriesCount) ||
      !toArray(env, get(env, options, "tiles"), napi_uint32_array, &program.tiles, &tileNumbers) ||
      !toArray(env, get(env, options, "inputs"), napi_int32_array, &inputs, &inputCount) ||
      !toArray(env, get(env, options, "outputs"), napi_int32_array, &outputs, &outputCount)) {
    return throwArgument(env, "arrays");
  }
  program.tileCount = tileNumbers / Program::kTileNumbers;
  program.inputs.assign(inputs, inputs + inputCount);
  program.outputs.assign(outputs, outputs + outputCount);

  int64_t threads;
  std::string isa;
  if (!toInteger(env, get(env, options, "ringBytes"), &program.ringBytes) || program.ringBytes < 0) {
    return throwArgument(env, "ringBytes");
  }
  if (!toInteger(env, get(env, options, "scratchBytes"), &program.scratchBytes) || program.scratchBytes < 0) {
    return throwArgument(env, "scratchBytes");
  }
  if (!toInteger(env, get(env, options, "threads"), &threads) || threads < 1 || threads > 4096) {
    return throwArgument(env, "threads");
  }
  program.mapped = toBoolean(env, get(env, options, "mapped"));
  program.flushes = toBoolean(env, get(env, options, "flushes"));
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

}  // namespace lathe
