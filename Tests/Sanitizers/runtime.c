/*
 * Tells ThreadSanitizer about synchronisation in the Swift run time that it cannot see. Must be loaded first
 * (LD_PRELOAD).
 *
 * Synchronization.Mutex is locked and unlocked with atomic operations in the program, which ThreadSanitizer sees; but
 * if a thread has to wait, with operations in the standard library, which it does not see. Moreover, an array that one
 * thread has released may be changed in place by another thread, which relies on the reference count. ThreadSanitizer
 * would report both as races. The functions in this file replace the library's functions and call them.
 */

#define _GNU_SOURCE /* RTLD_NEXT */

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

/* Synchronization._MutexHandle._lockSlow(UInt32) and ._unlockSlow() */
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

/* Missing in programs without ThreadSanitizer. */
void __tsan_acquire(void *address) __attribute__((weak));
void __tsan_release(void *address) __attribute__((weak));

static void acquire(void *address) {
    if (__tsan_acquire != NULL && address != NULL) {
        __tsan_acquire(address);
    }
}

static void release(void *address) {
    if (__tsan_release != NULL && address != NULL) {
        __tsan_release(address);
    }
}

/* The library's function; racing threads find the same. */
#define REAL(type, name) \
    static type real; \
    if (real == NULL) { \
        real = (type)dlsym(RTLD_NEXT, name); \
    }

SWIFT void lock_slow(uint32_t state, SELF) __asm__(LOCK);
SWIFT void unlock_slow(SELF) __asm__(UNLOCK);

SWIFT void lock_slow(uint32_t state, SELF) {
    typedef SWIFT void (*function)(uint32_t, SELF);
    REAL(function, LOCK)
    real(state, self);
    acquire(self);
}

SWIFT void unlock_slow(SELF) {
    typedef SWIFT void (*function)(SELF);
    REAL(function, UNLOCK)
    release(self);
    real(self);
}

void swift_release(void *object);
void swift_release(void *object) {
    typedef void (*function)(void *);
    REAL(function, "swift_release")
    release(object);
    acquire(object); /* The thread that releases it last also frees it. */
    real(object);
}

bool swift_isUniquelyReferenced_nonNull_native(void *object);
bool swift_isUniquelyReferenced_nonNull_native(void *object) {
    typedef bool (*function)(void *);
    REAL(function, "swift_isUniquelyReferenced_nonNull_native")
    bool is_unique = real(object);
    if (is_unique) {
        acquire(object);
    }
    return is_unique;
}
