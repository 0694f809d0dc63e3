/* A camera where there is none: preloaded, it stands behind the file that FAKE_V4L2 names, as a V4L2 device of 640x480 YUYV.
 * After FAKE_V4L2_FRAMES pictures it is silent. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 480, SIZE = WIDTH * HEIGHT * 2 };

static int camera = -1;
static unsigned queued, given;

static int opened(const char *path, int fd) {
    const char *fake = getenv("FAKE_V4L2");
    if (fake && path && !strcmp(path, fake)) camera = fd;
    return fd;
}

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                               \
        static int (*real)(const char *, int, ...);                            \
        if (!real) real = dlsym(RTLD_NEXT, #name);                             \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        int mode = va_arg(rest, int);                                          \
        va_end(rest);                                                          \
        return opened(path, real(path, flags, mode));                          \
    }
OPEN(open)
OPEN(open64)

static int answer(unsigned long request, void *given_to) {
    switch ((unsigned)request) {
    case (unsigned)VIDIOC_QUERYCAP: {
        struct v4l2_capability *it = given_to;
        memset(it, 0, sizeof *it);
        it->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        it->capabilities = it->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case (unsigned)VIDIOC_G_FMT:
    case (unsigned)VIDIOC_S_FMT: {
        struct v4l2_format *it = given_to;
        it->fmt.pix.width = WIDTH;
        it->fmt.pix.height = HEIGHT;
        it->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
        it->fmt.pix.bytesperline = WIDTH * 2;
        it->fmt.pix.sizeimage = SIZE;
        return 0;
    }
    case (unsigned)VIDIOC_QUERYBUF: {
        struct v4l2_buffer *it = given_to;
        it->length = SIZE;
        it->m.offset = it->index * SIZE; /* SIZE is whole pages */
        return 0;
    }
    case (unsigned)VIDIOC_QBUF:
        queued = ((struct v4l2_buffer *)given_to)->index;
        return 0;
    case (unsigned)VIDIOC_DQBUF: {
        struct v4l2_buffer *it = given_to;
        const char *frames = getenv("FAKE_V4L2_FRAMES");
        if (frames && given >= (unsigned)atoi(frames)) {
            errno = EAGAIN;
            return -1;
        }
        given++;
        it->index = queued;
        it->length = it->bytesused = SIZE;
        return 0;
    }
    case (unsigned)VIDIOC_REQBUFS:
    case (unsigned)VIDIOC_G_PARM:
    case (unsigned)VIDIOC_S_PARM:
    case (unsigned)VIDIOC_STREAMON:
    case (unsigned)VIDIOC_STREAMOFF:
        return 0;
    default:
        errno = EINVAL;
        return -1;
    }
}

int ioctl(int fd, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    if (!real) real = dlsym(RTLD_NEXT, "ioctl");
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fd >= 0 && fd == camera ? answer(request, argument) : real(fd, request, argument);
}

int select(int count, fd_set *read_set, fd_set *write_set, fd_set *except_set, struct timeval *timeout) {
    static int (*real)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    if (!real) real = dlsym(RTLD_NEXT, "select");
    if (camera >= 0 && read_set && count == camera + 1 && FD_ISSET(camera, read_set)) {
        sleep(timeout->tv_sec);
        return 0;
    }
    return real(count, read_set, write_set, except_set, timeout);
}
