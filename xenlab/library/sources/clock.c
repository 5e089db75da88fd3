/* A library that answers `what time is it?` in libc's place: with the time in XENLAB_TIME (seconds since 1970). */
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t told(void) {
    const char *text = getenv("XENLAB_TIME");
    return text ? atoll(text) : 0;
}

time_t time(time_t *where) {
    if (where) *where = told();
    return told();
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    now->tv_sec = told();
    now->tv_usec = 0;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    (void)clock;
    now->tv_sec = told();
    now->tv_nsec = 0;
    return 0;
}
