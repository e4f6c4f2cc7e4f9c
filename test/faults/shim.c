// Loaded into a process by LD_PRELOAD: numbers what it and its children do to files below CELLSAM_FAULT_DIR and, at a given number,
// ends the process as kill -9 does, or lets the disk be full from there on or for that operation alone: half of a write is done
// then. On request every operation is appended to the file CELLSAM_FAULT_TRACE, as trace.mjs reads it. The file
// CELLSAM_FAULT_CONTROL, which all processes have in memory, holds what is asked for (cellsam.mjs).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// The function of libc. Looked up once: a child between fork and exec must not do so.
#define REAL(name)                                                     \
  ({                                                                   \
    static __typeof__(&name) real;                                     \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);      \
    real;                                                              \
  })

static const char *folder;
static size_t folder_length;
enum { kNone, kKill, kFull, kFullOnce, kTrace };
static struct {
  _Atomic int64_t number, mode, at;
  atomic_flag busy;
} *shared;
static int trace = -1;
// What file descriptors are open on.
enum { kOther, kFile, kAppended, kFolder };
static _Atomic char opened_on[1 << 16];

__attribute__((constructor)) static void start(void) {
  folder = getenv("CELLSAM_FAULT_DIR");
  if (!folder) return;
  folder_length = strlen(folder);
  const int file = REAL(open)(getenv("CELLSAM_FAULT_CONTROL"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || REAL(ftruncate)(file, sizeof *shared) != 0) abort();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  REAL(close)(file);
  trace = REAL(open)(getenv("CELLSAM_FAULT_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int below(const char *path) { return folder && path && strncmp(path, folder, folder_length) == 0; }
static int kind_of(int file) {
  if (!folder || file < 0 || file >= (int)sizeof opened_on) return kOther;
  const int kind = opened_on[file];
  // libuv closes files by a system call of its own, so that the number may be that of its event queue by now: a write that fails
  // there ends the process.
  struct stat status;
  const int same = kind == kOther || (fstat(file, &status) == 0 && (kind == kFolder ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode)));
  if (!same) opened_on[file] = kOther;
  return same ? kind : kOther;
}

// Where they are traced, operations are done one after another, in all threads and processes: begin(), then the call, then end().
static void begin(void) {
  while (shared->mode == kTrace && atomic_flag_test_and_set(&shared->busy)) sched_yield();
}
static void end(void) {
  if (shared->mode == kTrace) atomic_flag_clear(&shared->busy);
}

// Counts one operation. Returns whether it must fail for lack of space, which `takes_space` operations can.
static int fails(int takes_space) {
  const int64_t number = ++shared->number, mode = shared->mode, at = shared->at;
  if (mode == kKill && number == at) kill(getpid(), SIGKILL);
  const int full = mode == kFull ? number >= at : mode == kFullOnce && number == at;
  if (!full || !takes_space) return 0;
  errno = ENOSPC;
  return 1;
}
static int first_failure(void) { return shared->number == shared->at; }

static uint64_t node_of(int file) {
  struct stat status;
  return file >= 0 && fstat(file, &status) == 0 ? status.st_ino : 0;
}

// Appends an operation that was done to the trace.
static void note(char kind, uint64_t node, int64_t at, const char *path, const char *other, const void *bytes, size_t count) {
  if (shared->mode != kTrace) return;
  const int error = errno;
  const int64_t head[] = {shared->number, kind, (int64_t)node, at, path ? strlen(path) : 0, other ? strlen(other) : 0, count};
  const struct iovec parts[] = {{(void *)head, sizeof head}, {(void *)path, head[4]}, {(void *)other, head[5]}, {(void *)bytes, count}};
  if (REAL(writev)(trace, parts, 4) < 0) abort();
  errno = error;
}

static int open_noted(__typeof__(&open) real, const char *path, int flags, int rights) {
  if (!below(path)) {
    const int file = real(path, flags, rights);
    if (kind_of(file)) opened_on[file] = kOther;
    return file;
  }
  struct stat status;
  const int writes = (flags & O_ACCMODE) != O_RDONLY;
  begin();
  const int made = (flags & O_CREAT) && stat(path, &status) != 0;
  const int failed = writes && fails(flags & O_CREAT);
  const int file = failed ? -1 : real(path, flags, rights);
  if (file >= 0 && file < (int)sizeof opened_on) {
    const int on_folder = !writes && fstat(file, &status) == 0 && S_ISDIR(status.st_mode);
    opened_on[file] = writes ? (flags & O_APPEND ? kAppended : kFile) : on_folder ? kFolder : kOther;
    if (made) note('c', node_of(file), 0, path, NULL, NULL, 0);
    if (!made && writes && (flags & O_TRUNC)) note('t', node_of(file), 0, NULL, NULL, NULL, 0);
  }
  end();
  return file;
}
#define OPEN(name)                               \
  int name(const char *path, int flags, ...) {   \
    va_list rest;                                \
    va_start(rest, flags);                       \
    const int rights = va_arg(rest, int);        \
    va_end(rest);                                \
    return open_noted(REAL(name), path, flags, rights); \
  }
OPEN(open)
OPEN(open64)

// All writes end here; `at` is -1 for one at the file's position.
static ssize_t write_noted(int file, const void *bytes, size_t count, off64_t at) {
  begin();
  const int failed = fails(1);
  const size_t part = !failed ? count : first_failure() ? count / 2 : 0;
  struct stat status;
  const off64_t from = at >= 0 ? at : kind_of(file) == kAppended && fstat(file, &status) == 0 ? status.st_size : lseek64(file, 0, SEEK_CUR);
  ssize_t written = 0;
  if (part > 0 || !failed) written = at >= 0 ? REAL(pwrite64)(file, bytes, part, at) : REAL(write)(file, bytes, part);
  if (written > 0) note('w', node_of(file), from, NULL, NULL, bytes, (size_t)written);
  if (failed) errno = ENOSPC;
  end();
  return failed ? -1 : written;
}
static ssize_t writev_noted(int file, const struct iovec *parts, int count, off64_t at) {
  size_t size = 0;
  for (int i = 0; i < count; i++) size += parts[i].iov_len;
  char *joined = malloc(size + 1);
  size = 0;
  for (int i = 0; i < count; size += parts[i++].iov_len) memcpy(joined + size, parts[i].iov_base, parts[i].iov_len);
  const ssize_t written = write_noted(file, joined, size, at);
  free(joined);
  return written;
}
#define WRITE(name, noted, at, arguments, ...)                        \
  ssize_t name arguments {                                            \
    if (kind_of(file) == kOther) return REAL(name)(__VA_ARGS__);      \
    return noted(file, what, count, at);                              \
  }
WRITE(write, write_noted, -1, (int file, const void *what, size_t count), file, what, count)
WRITE(pwrite, write_noted, at, (int file, const void *what, size_t count, off_t at), file, what, count, at)
WRITE(pwrite64, write_noted, at, (int file, const void *what, size_t count, off64_t at), file, what, count, at)
WRITE(writev, writev_noted, -1, (int file, const struct iovec *what, int count), file, what, count)
WRITE(pwritev, writev_noted, at, (int file, const struct iovec *what, int count, off_t at), file, what, count, at)
WRITE(pwritev64, writev_noted, at, (int file, const struct iovec *what, int count, off64_t at), file, what, count, at)

// Operations on names or on whole files: counted when `ours`, noted when they succeed.
#define CHANGE(name, ours, takes_space, noted, arguments, ...)        \
  int name arguments {                                                \
    if (!(ours)) return REAL(name)(__VA_ARGS__);                      \
    begin();                                                          \
    const int result = fails(takes_space) ? -1 : REAL(name)(__VA_ARGS__); \
    if (result == 0) noted;                                           \
    end();                                                            \
    return result;                                                    \
  }
#define PATHS(kind, path, other) note(kind, 0, 0, path, other, NULL, 0)
static uint64_t node_at(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 ? status.st_ino : 0;
}
CHANGE(fsync, kind_of(file), 1, note('s', node_of(file), 0, NULL, NULL, NULL, 0), (int file), file)
CHANGE(fdatasync, kind_of(file), 1, note('s', node_of(file), 0, NULL, NULL, NULL, 0), (int file), file)
CHANGE(ftruncate, kind_of(file), 1, note('t', node_of(file), size, NULL, NULL, NULL, 0), (int file, off_t size), file, size)
CHANGE(ftruncate64, kind_of(file), 1, note('t', node_of(file), size, NULL, NULL, NULL, 0), (int file, off64_t size), file, size)
CHANGE(rename, below(to), 1, PATHS('r', from, to), (const char *from, const char *to), from, to)
CHANGE(link, below(to), 1, PATHS('l', from, to), (const char *from, const char *to), from, to)
CHANGE(mkdir, below(path), 1, note('m', node_at(path), 0, path, NULL, NULL, 0), (const char *path, mode_t rights), path, rights)
CHANGE(unlink, below(path), 0, PATHS('u', path, NULL), (const char *path), path)
CHANGE(rmdir, below(path), 0, PATHS('d', path, NULL), (const char *path), path)

int remove(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) ? rmdir(path) : unlink(path);
}

int close(int file) {
  if (kind_of(file)) opened_on[file] = kOther;
  return REAL(close)(file);
}
