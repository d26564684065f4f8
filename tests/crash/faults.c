/*
 * System calls that fail, on files below one folder: put before libc with LD_PRELOAD, steered by ctypes.
 *
 * A failed fsync is as Linux does it: the pages count as written, and no later fsync tries them again
 * (https://lwn.net/Articles/752063/). Which ones were given up, `fault_lost` tells, so that a test can cut the power.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { NONE, WRITE, OPEN, SYNC };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char below[PATH_MAX];
static int which = NONE, error, lasting;
static long at, calls, hits;

#define FILES 65536
static struct { char path[PATH_MAX]; long synced, from, to; } *files;
static int count;

static int named(const char *path) { return which != NONE && strstr(path, below) != NULL; }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return 1;
}

/* Whether this call is the one that fails; or, where it lasts, one behind it. */
static int fails(int kind) {
    pthread_mutex_lock(&lock);
    int hit = kind == which && (++calls == at || (lasting && calls > at));
    hits += hit;
    pthread_mutex_unlock(&lock);
    return hit;
}

void fault_arm(const char *folder, int kind, int with, long number, int lasts) {
    pthread_mutex_lock(&lock);
    if (!files) files = calloc(FILES, sizeof *files);
    snprintf(below, sizeof below, "%s", folder);
    which = kind, error = with, at = number, lasting = lasts, calls = hits = count = 0;
    pthread_mutex_unlock(&lock);
}
void fault_lift(void) { pthread_mutex_lock(&lock); at = LONG_MAX, lasting = 0; pthread_mutex_unlock(&lock); }
long fault_hits(void) { return hits; }
int fault_lost(int index, char *path, long *from, long *to) {
    if (index >= count) return 0;
    snprintf(path, PATH_MAX, "%s", files[index].path);
    *from = files[index].from, *to = files[index].to;
    return 1;
}

static void note_sync(const char *path, int fd, int failed) {
    struct stat info;
    if (fstat(fd, &info) || !S_ISREG(info.st_mode)) return;
    pthread_mutex_lock(&lock);
    int index = 0;
    while (index < count && strcmp(files[index].path, path)) index++;
    if (index < FILES) {
        if (index == count) {
            snprintf(files[index].path, PATH_MAX, "%s", path);
            files[index].synced = files[index].from = files[index].to = 0;
            count++;
        }
        if (failed) {
            if (files[index].to == 0) files[index].from = files[index].synced;
            files[index].to = info.st_size;
        }
        files[index].synced = info.st_size;
    }
    pthread_mutex_unlock(&lock);
}

static int sync_with(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    char path[PATH_MAX];
    if (!path_of(fd, path) || !named(path)) return real(fd);
    int failed = fails(SYNC);
    note_sync(path, fd, failed);
    if (failed) { errno = error; return -1; }
    return real(fd);
}
int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    char path[PATH_MAX];
    if (which == WRITE && path_of(fd, path) && named(path) && fails(WRITE)) {
        if (error) { errno = error; return -1; }
        return real(fd, data, size > 2 ? size / 3 : size);
    }
    return real(fd, data, size);
}

static int open_with(const char *name, const char *path, int flags, mode_t mode) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    if (which == OPEN && named(path) && fails(OPEN)) { errno = error; return -1; }
    return real(path, flags, mode);
}
#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE return open_with("open", path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_with("open64", path, flags, mode); }
