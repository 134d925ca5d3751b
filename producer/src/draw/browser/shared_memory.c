// Preloaded into a browser whose memory may not be read from outside (see shared_memory.rs): large blocks of the wanted size
// are backed by a memfd in the process that composes frames, and sent to whoever started the browser. Only system calls: the
// caller is an allocator.
//
// HF_SHARE_BYTES: smallest size of a block. The socket is in the working folder, whose own path may be too long for one.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

// An allocator rounds up, and adds a page or two of its own.
static const size_t SLACK = 64 << 10;
// Smaller ones lie among others.
static const size_t SMALLEST = 128 << 10;

static size_t wanted;
static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "shared.sock"};

// Chromium writes over its environment later, to name its processes.
__attribute__((constructor)) static void read_environment(void) {
    const char *bytes = getenv("HF_SHARE_BYTES");
    if (bytes) wanted = strtoull(bytes, NULL, 10);
    if (wanted < SMALLEST) wanted = 0;
}

// Processes are forked ready, so that each has to look what it has become.
static int composes_frames(void) {
    static const char type[] = "--type=gpu-process";
    char line[4096];
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t size = read(file, line, sizeof line);
    close(file);
    return size > 0 && memmem(line, (size_t)size, type, sizeof type - 1) != NULL;
}

// Whether nothing was ever written to a block: what is there would be lost.
static int is_fresh(char *block, size_t size) {
    enum { PAGE = 4096, PAGES = 1024 };
    unsigned char resident[PAGES];
    for (size_t at = 0; at < size; at += PAGE * PAGES) {
        size_t rest = size - at < PAGE * PAGES ? size - at : PAGE * PAGES;
        if (mincore(block + at, rest, resident) != 0) return 0;
        for (size_t page = 0; page < (rest + PAGE - 1) / PAGE; page++)
            if (resident[page] & 1) return 0;
    }
    return 1;
}

// Sends a descriptor and the size of what is behind it. The connection stays open for as long as this process lives.
static int announce(int descriptor, uint64_t size) {
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) return 0;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {0};
    struct iovec data = {&size, sizeof size};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    if (connect(connection, (const struct sockaddr *)&address, sizeof address) == 0 &&
        sendmsg(connection, &message, MSG_NOSIGNAL) == (ssize_t)sizeof size)
        return 1;
    close(connection);
    return 0;
}

// A fresh block becomes shared memory in its place. It is sent only once it is, and stays as it was if it cannot be.
static void share(void *block, size_t size) {
    int descriptor = (int)syscall(SYS_memfd_create, "block", 1 /* MFD_CLOEXEC */);
    if (descriptor < 0) return;
    if (ftruncate(descriptor, (off_t)size) == 0 &&
        (void *)syscall(SYS_mmap, block, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0L) == block)
        announce(descriptor, size);
    close(descriptor);
}

// PartitionAlloc reserves address space first, and makes a large block of it usable by this call.
int mprotect(void *block, size_t size, int protection) {
    long result = syscall(SYS_mprotect, block, size, protection);
    if (result == 0 && wanted && protection == (PROT_READ | PROT_WRITE) && size >= wanted && size - wanted < SLACK &&
        composes_frames() && is_fresh(block, size))
        share(block, size);
    return (int)result;
}
