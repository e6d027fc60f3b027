/* A socket whose dead peer is noticed. */
#include "kafka/socket.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { IDLE_S = 10, INTERVAL_S = 5, PROBES = 3, UNACKED_MS = 30000 };

int fr_kafka_socket(int domain, int type, int protocol, void *opaque)
{
    (void)opaque;
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        return fd;
    }
    /* What the kernel does not know is left out: the connection is as good as without. */
    int on = 1, idle = IDLE_S, interval = INTERVAL_S, probes = PROBES, unacked = UNACKED_MS;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof(unacked));
    return fd;
}
