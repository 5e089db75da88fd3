/* A library that stands before `answer` and passes every call on. */
#define _GNU_SOURCE
#include <dlfcn.h>

long answer(long question) {
    static long (*real)(long);
    if (!real) real = dlsym(RTLD_NEXT, "answer");
    return real(question);
}
