/* Who may be spoken to without encryption: this machine itself (S10). */
#ifndef FR_BASE_HOST_H
#define FR_BASE_HOST_H

#include "base/arena.h"

/* Whether nobody but this machine answers to it: "localhost" in any case, an IPv4 address of
 * 127.0.0.0/8 as getaddrinfo reads it (127.1, too), ::1 in any spelling, with or without brackets.
 * By number, so that 127.0.0.1.example is no loopback. No name is resolved. */
bool fr_is_loopback(fr_str host);
/* The host of "host", "host:port", "[v6]:port" (with its brackets) or "v6", up to a "/". Points
 * into the text. */
fr_str fr_host_of(const char *address);

#endif
