// Loaded into a process by LD_PRELOAD: counts what it does to files below CELLSAM_FAULT_DIR and, at operation number
// CELLSAM_FAULT_AT, ends it as kill -9 does ("kill"), or lets that operation and all later ones find the disk full ("full"), or
// that one alone ("full-once"). The count is in the file CELLSAM_FAULT_COUNTER, which child processes share.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *folder;
static size_t folder_length;
static long fault_at;
static enum { kCount, kKill, kFull, kFullOnce } mode;
static _Atomic long *counter;
static _Atomic char tracked[1 << 16];  // by file descriptor

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
  folder = getenv("CELLSAM_FAULT_DIR");
  if (!folder) return;
  folder_length = strlen(folder);
  const char *at = getenv("CELLSAM_FAULT_AT"), *how = getenv("CELLSAM_FAULT_MODE");
  fault_at = at ? atol(at) : 0;
  mode = !how ? kCount : !strcmp(how, "kill") ? kKill : !strcmp(how, "full") ? kFull : !strcmp(how, "full-once") ? kFullOnce : kCount;
  const int file = REAL(open)(getenv("CELLSAM_FAULT_COUNTER"), O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof *counter) != 0) abort();
  counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
}

static int below(const char *path) { return folder && path && strncmp(path, folder, folder_length) == 0; }
static int follows(int file) { return folder && file >= 0 && file < (int)sizeof tracked && tracked[file]; }

// Counts one operation. Returns whether it must fail for lack of space, which `takes_space` operations can.
static int fails(int takes_space) {
  const long number = ++*counter;
  if (mode == kKill && number == fault_at) kill(getpid(), SIGKILL);
  const int full = mode == kFull ? number >= fault_at : mode == kFullOnce && number == fault_at;
  if (full && takes_space && fault_at > 0) errno = ENOSPC;
  return full && takes_space && fault_at > 0;
}

static int opened(int file, const char *path, int flags) {
  if (file >= 0 && file < (int)sizeof tracked) tracked[file] = below(path) && (flags & O_ACCMODE) != O_RDONLY;
  return file;
}

#define OPEN(name)                                                                   \
  int name(const char *path, int flags, ...) {                                       \
    va_list rest;                                                                    \
    va_start(rest, flags);                                                           \
    const int rights = va_arg(rest, int);                                            \
    va_end(rest);                                                                    \
    const int writes = (flags & O_ACCMODE) != O_RDONLY;                              \
    if (below(path) && writes && fails(flags & O_CREAT)) return -1;                  \
    return opened(REAL(name)(path, flags, rights), path, flags);                     \
  }
OPEN(open)
OPEN(open64)

#define WRITE(name, arguments, ...)                                                  \
  ssize_t name arguments {                                                           \
    if (follows(file) && fails(1)) return -1;                                        \
    return REAL(name)(__VA_ARGS__);                                                  \
  }
WRITE(write, (int file, const void *bytes, size_t count), file, bytes, count)
WRITE(writev, (int file, const struct iovec *parts, int count), file, parts, count)
WRITE(pwrite, (int file, const void *bytes, size_t count, off_t at), file, bytes, count, at)
WRITE(pwrite64, (int file, const void *bytes, size_t count, off64_t at), file, bytes, count, at)
WRITE(pwritev, (int file, const struct iovec *parts, int count, off_t at), file, parts, count, at)
WRITE(pwritev64, (int file, const struct iovec *parts, int count, off64_t at), file, parts, count, at)

#define CHANGE(name, takes_space, arguments, ...)                                    \
  int name arguments {                                                               \
    if (follows(file) && fails(takes_space)) return -1;                              \
    return REAL(name)(__VA_ARGS__);                                                  \
  }
CHANGE(fsync, 1, (int file), file)
CHANGE(fdatasync, 1, (int file), file)
CHANGE(ftruncate, 1, (int file, off_t size), file, size)
CHANGE(ftruncate64, 1, (int file, off64_t size), file, size)

int close(int file) {
  if (folder && file >= 0 && file < (int)sizeof tracked) tracked[file] = 0;
  return REAL(close)(file);
}

#define NAME(name, takes_space, path, arguments, ...)                                \
  int name arguments {                                                               \
    if (below(path) && fails(takes_space)) return -1;                                \
    return REAL(name)(__VA_ARGS__);                                                  \
  }
NAME(rename, 1, to, (const char *from, const char *to), from, to)
NAME(link, 1, to, (const char *from, const char *to), from, to)
NAME(mkdir, 1, path, (const char *path, mode_t rights), path, rights)
NAME(unlink, 0, path, (const char *path), path)
NAME(rmdir, 0, path, (const char *path), path)
