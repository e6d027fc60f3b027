/* HTTP for the schema registry client: fail-over between URLs, retries, time-outs, limits.
 * One call at a time, except interrupt. */
#ifndef FR_CODEC_REGISTRY_TRANSPORT_H
#define FR_CODEC_REGISTRY_TRANSPORT_H

#include "base/bytes.h"
#include "model/settings.h"

enum { FR_REGISTRY_MAX_REPLY = 1 << 20 }; /* S22 */

typedef struct fr_transport fr_transport;

typedef struct fr_reply {
    int status;      /* HTTP: never 401, 403, 3xx, 429 or 5xx, which are errors already */
    fr_str body;     /* valid until the next call */
    const char *url; /* base URL that answered; lives as long as the transport */
    const char *path;
} fr_reply;

/* CONFIG for URLs that are refused: a scheme that is not http(s), credentials inside, or
 * plaintext off loopback without `insecure`. Copies what it needs. */
fr_rc fr_transport_open(const fr_registry_settings *settings, fr_transport **out, fr_err *err);
void fr_transport_close(fr_transport *t);
/* path begins with '/' and is borrowed until the reply is done with. body empty: none. CONNECT
 * after three rounds over all URLs, AUTH for 401 and 403, CANCELLED after interrupt. */
fr_rc fr_transport_call(fr_transport *t, const char *method, const char *path, fr_str body,
                        fr_reply *out, fr_err *err);
/* The URL that answered last, else the first. */
const char *fr_transport_url(const fr_transport *t);
void fr_transport_interrupt(fr_transport *t); /* any thread */

#endif
