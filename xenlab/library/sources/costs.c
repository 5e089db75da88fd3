/* Nanoseconds that one call costs. usage: costs library|kernel|traced ROUNDS
 * library: a function of another library, called through the table that the linker fills.
 * kernel:  the smallest system call.
 * traced:  the same system call of a child that stops for its parent before and after each (ptrace). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

long answer(long question);

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e9 + at.tv_nsec;
}

static void library(long rounds) { for (long i = 0; i < rounds; i++) answer(i); }

static void kernel(long rounds) { for (long i = 0; i < rounds; i++) syscall(SYS_getppid); }

static void traced(long rounds) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        kernel(rounds);
        _exit(0);
    }
    while (waitpid(child, &status, 0) == child && !WIFEXITED(status) && !WIFSIGNALED(status))
        ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) exit(1);
}

int main(int count, char **words) {
    long rounds = count == 3 ? atol(words[2]) : 0;
    double start = now();
    if (rounds < 1) return 2;
    if (strcmp(words[1], "library") == 0) library(rounds);
    else if (strcmp(words[1], "kernel") == 0) kernel(rounds);
    else if (strcmp(words[1], "traced") == 0) traced(rounds);
    else return 2;
    printf("%.4f\n", (now() - start) / rounds);
    return 0;
}
