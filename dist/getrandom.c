/* For systems whose C library has no getrandom (GLIBC before 2.25). Rust's standard library refers
 * to it weakly and does without; where another crate names it too, even in code that is never
 * called, linking them as one makes the reference a strong one, and the library does not open.
 * A system call that the kernel does not know gives ENOSYS, which the callers expect. */
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

__attribute__((visibility("hidden"))) ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
    return syscall(SYS_getrandom, buffer, length, flags);
}
