/* The floor: a C program that writes the frames of a page to each socket in one system call.
 * Every connection is a reader until it sends a byte: a 'p' asks for a page of twenty events to all readers, and each byte gets an 'a'. */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 20
static struct pollfd fds[20000];
static char asks[20000];
static int count = 1;

static void write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written <= 0) return;
        data += written;
        size -= written;
    }
}

int main(void) {
    int bytes = atoi(getenv("BENCH_EVENT_BYTES")), size = EVENTS * (bytes + 4);
    char *page = malloc(size), *at = page;
    for (int i = 0; i < EVENTS; i++) { /* each event is a text frame of its own */
        at[0] = (char)0x81; at[1] = 126; at[2] = (char)(bytes >> 8); at[3] = (char)bytes;
        memset(at + 4, 'x', bytes);
        memcpy(at + 4, "\"agentId\":", 10);
        at += bytes + 4;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("BENCH_PORT")))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 4096)) return 1;
    fds[0] = (struct pollfd){.fd = listening, .events = POLLIN};
    for (;;) {
        poll(fds, count, -1);
        if (fds[0].revents) {
            asks[count] = 0;
            fds[count++] = (struct pollfd){.fd = accept(listening, 0, 0), .events = POLLIN};
        }
        for (int i = 1; i < count; i++) {
            char asked;
            if (!fds[i].revents) continue;
            if (read(fds[i].fd, &asked, 1) != 1) {
                close(fds[i].fd);
                fds[i] = fds[--count];
                asks[i--] = asks[count];
                continue;
            }
            asks[i] = 1;
            for (int j = 1; asked == 'p' && j < count; j++) if (!asks[j]) write_all(fds[j].fd, page, size);
            write_all(fds[i].fd, "a", 1);
        }
    }
}
