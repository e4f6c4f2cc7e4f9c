#include "error.h"

#include <new>
#include <system_error>

#include "convert.h"

namespace cellsam::binding {

Failure describe(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return {error.code, error.what(), error.detail};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "out of host memory; use a smaller batch, image or model", {}};
  } catch (const std::system_error& error) {
    // A thread that cannot be started: the limit of memory or of threads is reached.
    if (error.code() != std::errc::resource_unavailable_try_again && error.code() != std::errc::not_enough_memory) {
      return {"ERR_INTERNAL", error.what(), {}};
    }
    const std::string advice = "out of memory or threads; lower threads, batch_size or the tile size (";
    return {"ERR_OUT_OF_MEMORY", advice + error.what() + ")", {}};
  } catch (const std::exception& error) {
    return {"ERR_INTERNAL", error.what(), {}};
  } catch (...) {
    return {"ERR_INTERNAL", "native code threw something that is no exception", {}};
  }
}

Napi::Error to_error(Napi::Env env, const Failure& failure) {
  auto error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, failure.code));
  error.Set("detail", to_js(env, Value(failure.detail)));
  return error;
}

}  // namespace cellsam::binding
