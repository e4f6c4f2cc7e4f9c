// Stands between libtorch and its OpenMP library, which are not built with ThreadSanitizer, and tells it what it cannot see
// there: each thread of a parallel region begins after what came before the region, and ends before what comes after it.
#define _GNU_SOURCE
#include <dlfcn.h>

typedef void (*Body)(void* data);
typedef void (*Parallel)(Body body, void* data, unsigned threads, unsigned flags);

// Not there in processes without ThreadSanitizer, as in the one that starts the tests.
extern void __tsan_acquire(void* mark) __attribute__((weak));
extern void __tsan_release(void* mark) __attribute__((weak));

// With one mark for both, a thread that begins late would seem to wait for one that has ended, and a race between the two would
// go unseen. Eight bytes each, since what shares eight bytes is one mark.
typedef struct {
  Body body;
  void* data;
  long long begin;
  long long end;
} Region;

static void run(void* data) {
  Region* region = data;
  __tsan_acquire(&region->begin);
  region->body(region->data);
  __tsan_release(&region->end);
}

// What compilers make of `#pragma omp parallel`.
void GOMP_parallel(Body body, void* data, unsigned threads, unsigned flags) {
  Parallel parallel = (Parallel)dlsym(RTLD_NEXT, "GOMP_parallel");
  if (!__tsan_release) {
    parallel(body, data, threads, flags);
    return;
  }
  Region region = {body, data, 0, 0};
  __tsan_release(&region.begin);
  parallel(run, &region, threads, flags);
  __tsan_acquire(&region.end);
}
