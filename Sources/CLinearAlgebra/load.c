#include "CLinearAlgebra.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* OpenBLAS takes a processor it does not know for a Pentium 4, whose vectors are a quarter as long as those of AVX-512. */
static const char *const unknown_processor = "Prescott";

/* The library's name for the best kernels that this processor can run; NULL where the library finds them itself. */
static const char *capable_core(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
    return NULL;
}

/* Returns NULL, or what is missing. */
static const char *find(void *handle, const char *name, void **function) {
    *function = dlsym(handle, name);
    return *function == NULL ? dlerror() : NULL;
}

static const char *find_all(void *handle, cla_library *library) {
    void *core_name;
    const char *problem = find(handle, "openblas_get_corename", &core_name);
    if (problem == NULL) problem = find(handle, "sgeqrf_", &library->sgeqrf);
    if (problem == NULL) problem = find(handle, "sorgqr_", &library->sorgqr);
    if (problem == NULL) problem = find(handle, "dgeqrf_", &library->dgeqrf);
    if (problem == NULL) problem = find(handle, "dorgqr_", &library->dorgqr);
    if (problem == NULL) library->core_name = ((const char *(*)(void))core_name)();
    return problem;
}

const char *cla_load(const char *file, cla_library *library) {
    static const char *const variable = "OPENBLAS_CORETYPE";
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) return dlerror();
    const char *problem = find_all(handle, library);
    const char *core = capable_core();
    if (problem != NULL || core == NULL || strcmp(library->core_name, unknown_processor) != 0 || getenv(variable) != NULL)
        return problem;
    /* It looks at the processor and the variable when it is loaded, and only then. */
    dlclose(handle);
    setenv(variable, core, 0);
    handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    return handle == NULL ? dlerror() : find_all(handle, library);
}
