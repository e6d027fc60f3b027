#include "base/host.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

bool fr_is_loopback(fr_str host)
{
    char text[64];
    struct in_addr four;
    struct in6_addr six;
    if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = (fr_str){host.ptr + 1, host.len - 2};
        if (memchr(host.ptr, ':', host.len) == NULL)
            return false;
    }
    if (host.len == 0 || host.len >= sizeof(text) || memchr(host.ptr, '\0', host.len) != NULL)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (strspn(text, "0123456789.") == host.len)
        return inet_aton(text, &four) != 0 && (ntohl(four.s_addr) >> 24) == 127;
    return strcasecmp(text, "localhost") == 0 ||
           (inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six));
}

fr_str fr_host_of(const char *address)
{
    size_t len = strcspn(address, "/");
    const char *end = memchr(address, ']', len), *colon = memchr(address, ':', len);
    if (address[0] == '[' && end != NULL)
        return (fr_str){address, (size_t)(end + 1 - address)};
    bool v6 = colon != NULL && memchr(colon + 1, ':', len - (size_t)(colon + 1 - address)) != NULL;
    return (fr_str){address, colon == NULL || v6 ? len : (size_t)(colon - address)};
}
