/*
 * Counts a process's calls of malloc and related functions. Load this library with LD_PRELOAD; the environment variable
 * ALLOCATIONS names a file of 8 bytes, which always holds the current number.
 */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own names; dlsym would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static uint64_t unseen;
static uint64_t *counted = &unseen;

__attribute__((constructor)) static void open_file(void) {
    const char *path = getenv("ALLOCATIONS");
    int descriptor = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *shared = descriptor < 0 ? MAP_FAILED : mmap(NULL, sizeof unseen, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (shared != MAP_FAILED) {
        counted = shared;
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
}

static void count(void) { __atomic_fetch_add(counted, 1, __ATOMIC_RELAXED); }

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *pointer, size_t size) {
    count();
    return __libc_realloc(pointer, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }

int posix_memalign(void **pointer, size_t alignment, size_t size) {
    *pointer = aligned_alloc(alignment, size);
    return *pointer == NULL ? ENOMEM : 0;
}
