/* Loaded into the gate with LD_PRELOAD: lets one call that changes the file system below FAULTS_ROOT
 * be the process's last, or fail.
 *
 * Why not `strace -e inject`: it counts calls for each thread, and each database connection has a
 * thread of its own, so that many instants cannot be named. This counts over the whole process, and
 * costs so little that every instant can be tried.
 *
 * FAULTS_AT=N     the N-th such call, counted from 1; 0 or unset: none
 * FAULTS_KIND     kill, torn (half of a write is done, then kill), once, persistent
 * FAULTS_ERRNO    the error of `once` and `persistent`, as a number
 * FAULTS_CLOCK    backwards: each look at the clock is an hour earlier than the one before
 * FAULTS_COUNT    a file into which the number of calls is written at the end
 * FAULTS_LOG      a file that gets a line for each such call: its name and the path
 * FAULTS_TERM     where the process gets SIGTERM, which is also said on standard output: `exec`, as another
 *                 program is about to take its place, or N, as the root's .env is opened for the N-th time
 * FAULTS_LINKED   a file: having given the root's var/grace.db a second name, the process says so by a file of this
 *                 name with .reached behind it, and goes on once this one is there
 * FAULTS_GOING    the same, about to move var/grace.db away
 * FAULTS_LEAVING  the same, about to move .env away
 * FAULTS_GONE     the same, having moved .env away
 * FAULTS_CAME     the same, having moved another file there
 * FAULTS_FLUSHING the same, about to flush a file beside it after that
 * FAULTS_MADE     the same, having given a new file the name of var/grace.db or .env
 * FAULTS_LOOKED   the same, having read the beginning of var/grace.db-wal
 * FAULTS_PUTTING  the same, about to give another file the name of the root's var/grace.db or .env
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NONE, KILL, TORN, ONCE, PERSISTENT };

static const char *root;
static size_t root_length;
static long at;
static enum kind kind;
static int error_number;
static atomic_long calls;
static int log_file = -1;
static int clock_runs_backwards;
static atomic_long hours;
static const char *term;
static atomic_long env_opened;
static const char *linked;
static const char *putting;
static const char *going;
static const char *leaving;
static const char *gone;
static const char *came;
static const char *flushing;
static int has_come;
static const char *made;
static const char *looked;

static void wait_for(const char *file);

__attribute__((constructor)) static void begin(void) {
    const char *word = getenv("FAULTS_KIND");
    const char *number = getenv("FAULTS_AT");
    const char *error = getenv("FAULTS_ERRNO");
    const char *log = getenv("FAULTS_LOG");
    log_file = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    root = getenv("FAULTS_ROOT");
    root_length = root ? strlen(root) : 0;
    at = number ? atol(number) : 0;
    clock_runs_backwards = getenv("FAULTS_CLOCK") != NULL;
    term = getenv("FAULTS_TERM");
    linked = getenv("FAULTS_LINKED");
    going = getenv("FAULTS_GOING");
    leaving = getenv("FAULTS_LEAVING");
    gone = getenv("FAULTS_GONE");
    came = getenv("FAULTS_CAME");
    flushing = getenv("FAULTS_FLUSHING");
    made = getenv("FAULTS_MADE");
    looked = getenv("FAULTS_LOOKED");
    putting = getenv("FAULTS_PUTTING");
    error_number = error ? atoi(error) : EIO;
    kind = !word || !at                  ? NONE
           : !strcmp(word, "kill")       ? KILL
           : !strcmp(word, "torn")       ? TORN
           : !strcmp(word, "once")       ? ONCE
           : !strcmp(word, "persistent") ? PERSISTENT
                                         : NONE;
}

__attribute__((destructor)) static void end(void) {
    const char *file = getenv("FAULTS_COUNT");
    FILE *out = file ? fopen(file, "w") : NULL;
    if (out) {
        fprintf(out, "%ld\n", (long)calls);
        fclose(out);
    }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* The root itself is logged too: it is a folder that may be flushed. */
static void note(const char *what, const char *path) {
    if (log_file >= 0 && root_length && path && !strncmp(path, root, root_length - 1))
        dprintf(log_file, "%s %s\n", what, path);
}

/* Whether this call is to fail. Does not return when it is to be the last. `torn` is set where half
 * of it is to be done first. A full disk does not keep anything from being removed or flushed. */
static int is_due_in(const char *what, const char *path, int needs_room, int *torn) {
    note(what, path);
    if (!root_length || !path || strncmp(path, root, root_length) != 0)
        return 0;
    long n = ++calls;
    if (kind == NONE || (kind == PERSISTENT ? n < at : n != at))
        return 0;
    if (kind == TORN && torn) {
        *torn = 1;
        return 0;
    }
    if (kind == KILL || kind == TORN)
        die();
    if (error_number == ENOSPC && !needs_room)
        return 0;
    errno = error_number;
    return 1;
}

static int is_due_fd_in(const char *what, int fd, int needs_room, int *torn) {
    char link[32], path[4096];
    if (fd < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_due_in(what, path, needs_room, torn);
}

#define is_due(path, needs_room, torn) is_due_in(__func__, path, needs_room, torn)
#define is_due_fd(fd, needs_room, torn) is_due_fd_in(__func__, fd, needs_room, torn)

#define REAL(name, type, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (!real)                                                                                     \
        real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* To this very thread, so that it has come when the call goes on. */
static void send_term(void) {
    dprintf(STDOUT_FILENO, "SIGTERM comes\n");
    raise(SIGTERM);
}

/* Opening a file that is there needs no room, whatever the flags say. */
static int is_due_open(const char *path, int flags) {
    if (term && root_length && !strncmp(path, root, root_length) &&
        !strcmp(path + root_length, ".env") && ++env_opened == atol(term))
        send_term();
    return flags & (O_CREAT | O_TRUNC) && is_due(path, access(path, F_OK) != 0, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime, int, clockid_t, struct timespec *);
    int answer = real(clock, time);
    if (clock_runs_backwards && clock == CLOCK_REALTIME)
        time->tv_sec -= 3600 * ++hours;
    return answer;
}

static mode_t mode_of(int flags, va_list list) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        REAL(name, int, const char *, int, ...);                                                   \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode_t mode = mode_of(flags, list);                                                        \
        va_end(list);                                                                              \
        return is_due_open(path, flags) ? -1 : real(path, flags, mode);    \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                               \
    int name(int folder, const char *path, int flags, ...) {                                       \
        REAL(name, int, int, const char *, int, ...);                                              \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode_t mode = mode_of(flags, list);                                                        \
        va_end(list);                                                                              \
        return is_due_open(path, flags) ? -1 : real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write, ssize_t, int, const void *, size_t);
    int torn = 0;
    if (is_due_fd(fd, 1, &torn))
        return -1;
    if (torn) {
        real(fd, bytes, count / 2);
        die();
    }
    return real(fd, bytes, count);
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int fd, const void *bytes, size_t count, offset_type offset) {                    \
        REAL(name, ssize_t, int, const void *, size_t, offset_type);                               \
        int torn = 0;                                                                              \
        if (is_due_fd(fd, 1, &torn))                                                               \
            return -1;                                                                             \
        if (torn) {                                                                                \
            real(fd, bytes, count / 2, offset);                                                    \
            die();                                                                                 \
        }                                                                                          \
        return real(fd, bytes, count, offset);                                                     \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev, ssize_t, int, const struct iovec *, int);
    return is_due_fd(fd, 1, NULL) ? -1 : real(fd, parts, count);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t count,
                        unsigned flags) {
    REAL(copy_file_range, ssize_t, int, off64_t *, int, off64_t *, size_t, unsigned);
    return is_due_fd(to, 1, NULL) ? -1 : real(from, from_at, to, to_at, count, flags);
}

#define ON_FD(name)                                                                                \
    int name(int fd) {                                                                             \
        REAL(name, int, int);                                                                      \
        return is_due_fd(fd, 0, NULL) ? -1 : real(fd);                                             \
    }
int fsync(int fd) {
    REAL(fsync, int, int);
    char link[32], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (flushing && has_come && readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/.grace.db"))
        wait_for(flushing);
    return is_due_fd(fd, 0, NULL) ? -1 : real(fd);
}
ON_FD(fdatasync)

#define TRUNCATE(name, offset_type)                                                                \
    int name(int fd, offset_type length) {                                                         \
        REAL(name, int, int, offset_type);                                                         \
        return is_due_fd(fd, 1, NULL) ? -1 : real(fd, length);                                     \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int fchmod(int fd, mode_t mode) {
    REAL(fchmod, int, int, mode_t);
    return is_due_fd(fd, 0, NULL) ? -1 : real(fd, mode);
}

int chmod(const char *path, mode_t mode) {
    REAL(chmod, int, const char *, mode_t);
    return is_due(path, 0, NULL) ? -1 : real(path, mode);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir, int, const char *, mode_t);
    return is_due(path, 1, NULL) ? -1 : real(path, mode);
}

#define ON_PATH(name)                                                                              \
    int name(const char *path) {                                                                   \
        REAL(name, int, const char *);                                                             \
        return is_due(path, 0, NULL) ? -1 : real(path);                                            \
    }
ON_PATH(unlink)
ON_PATH(rmdir)

/* A name in an open folder, as whoever removes a whole tree gives it. */
int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat, int, int, const char *, int);
    char whole[8192];
    if (path[0] != '/' && folder != AT_FDCWD) {
        char link[32];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, whole, sizeof whole / 2);
        if (length > 0) {
            snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
            return is_due(whole, 0, NULL) ? -1 : real(folder, path, flags);
        }
    }
    return is_due(path, 0, NULL) ? -1 : real(folder, path, flags);
}

int fchown(int fd, uid_t user, gid_t group) {
    REAL(fchown, int, int, uid_t, gid_t);
    return is_due_fd(fd, 0, NULL) ? -1 : real(fd, user, group);
}

static int is_named(const char *path, const char *name) {
    return root_length && !strncmp(path, root, root_length) && !strcmp(path + root_length, name);
}

static int is_database(const char *path) {
    return is_named(path, "var/grace.db");
}

static void wait_for(const char *file) {
    char reached[4096];
    snprintf(reached, sizeof reached, "%s.reached", file);
    close(creat(reached, 0600));
    while (access(file, F_OK))
        usleep(1000);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset) {
    REAL(pread64, ssize_t, int, void *, size_t, off64_t);
    ssize_t done = real(fd, bytes, count, offset);
    char link[32], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (looked && offset == 0 && readlink(link, path, sizeof path - 1) > 0 && is_named(path, "var/grace.db-wal"))
        wait_for(looked);
    return done;
}

static void before_move(const char *from, const char *to) {
    if (log_file >= 0)
        dprintf(log_file, "renamed %s -> %s\n", from, to);
    if (going && is_database(from))
        wait_for(going);
    if (leaving && is_named(from, ".env"))
        wait_for(leaving);
    if (putting && (is_database(to) || is_named(to, ".env")))
        wait_for(putting);
}

static int after_move(int result, const char *to) {
    has_come |= result == 0 && is_database(to);
    if (came && result == 0 && is_database(to))
        wait_for(came);
    return result;
}

int rename(const char *from, const char *to) {
    REAL(rename, int, const char *, const char *);
    before_move(from, to);
    return is_due(to, 1, NULL) ? -1 : after_move(real(from, to), to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    REAL(renameat2, int, int, const char *, int, const char *, unsigned);
    before_move(from, to);
    if (is_due(to, 1, NULL))
        return -1;
    int result = real(from_folder, from, to_folder, to, flags);
    if (made && result == 0 && (is_database(to) || is_named(to, ".env")))
        wait_for(made);
    if (gone && result == 0 && is_named(from, ".env"))
        wait_for(gone);
    return result;
}

static int after_link(int result, const char *from) {
    if (linked && result == 0 && is_database(from))
        wait_for(linked);
    return result;
}

int link(const char *from, const char *to) {
    REAL(link, int, const char *, const char *);
    return is_due(to, 1, NULL) ? -1 : after_link(real(from, to), from);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(linkat, int, int, const char *, int, const char *, int);
    return is_due(to, 1, NULL) ? -1 : after_link(real(from_folder, from, to_folder, to, flags), from);
}

int execvp(const char *file, char *const argv[]) {
    REAL(execvp, int, const char *, char *const *);
    if (term && !strcmp(term, "exec"))
        send_term();
    return real(file, argv);
}

/* The thread that acts on a signal gets no turn: the signal is not lost by luck, nor kept by it. */
int pthread_setname_np(pthread_t thread, const char *name) {
    REAL(pthread_setname_np, int, pthread_t, const char *);
    while (term && !strcmp(name, "signals"))
        pause();
    return real(thread, name);
}
