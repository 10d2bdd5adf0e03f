/* Lets the disk below a journal fail, for tests:
 *
 *     cc -shared -fPIC -o faults.so tests/faults.c
 *     FAULTS=control LD_PRELOAD=./faults.so theater run ..
 *
 * What the file `control` says counts for every file whose path has `/journal/` in it; without the file nothing fails:
 *
 *     enospc       writes fail with ENOSPC
 *     eio          writes fail with EIO
 *     half         half of a write is done, then it fails with ENOSPC
 *     short        half of each write is done, and says so
 *     fsync-once   one fdatasync fails with EIO; the file is removed by then
 *     flip         one bit of what is read is another one
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int says(const char *what) {
    const char *path = getenv("FAULTS");
    char text[32] = {0};
    int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) : -1;
    if (file < 0) return 0;
    syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    return strcmp(text, what) == 0;
}

static int is_journal(int fd) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/journal/") != NULL;
}

static ssize_t fail(int error) {
    errno = error;
    return -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    if (!is_journal(fd)) return next(fd, bytes, count, at);
    if (says("enospc")) return fail(ENOSPC);
    if (says("eio")) return fail(EIO);
    if (says("half")) {
        next(fd, bytes, count / 2, at);
        return fail(ENOSPC);
    }
    if (says("short") && count > 1) return next(fd, bytes, count / 2, at);
    return next(fd, bytes, count, at);
}

int fdatasync(int fd) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fdatasync");
    if (is_journal(fd) && says("fsync-once")) {
        unlink(getenv("FAULTS"));
        return fail(EIO);
    }
    return next(fd);
}

ssize_t read(int fd, void *bytes, size_t count) {
    ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    ssize_t got = next(fd, bytes, count);
    if (got > 500 && is_journal(fd) && says("flip")) ((char *)bytes)[500] ^= 1;
    return got;
}
