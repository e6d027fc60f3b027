/* The data behind my_charset.c. */
#ifndef FR_MYSQL_MY_CHARSET_TABLES_H
#define FR_MYSQL_MY_CHARSET_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* A single-byte character set: Unicode of bytes 128 to 255; 0: undefined. Below it is ASCII,
 * but for swe7. Ends with a NULL. */
typedef struct fr_my_single {
    const char *name;
    const uint16_t *high;
} fr_my_single;
extern const fr_my_single fr_my_singles[];
extern const uint16_t fr_my_swe7_low[128];

/* Where the servers and glibc disagree: the bytes as a big-endian number, sorted, and the
 * servers' Unicode. Ends with a NULL. */
typedef struct fr_my_override {
    uint32_t bytes, unicode;
} fr_my_override;
typedef struct fr_my_overrides {
    const char *name;
    const fr_my_override *all;
    size_t count;
} fr_my_overrides;
extern const fr_my_overrides fr_my_multi[];

/* GB 18030's characters of four bytes in the BMP: the standard counts them through; `count`
 * from `first` on are Unicode's from `unicode` on. Ends with a count of 0. */
typedef struct fr_my_run {
    uint32_t first, unicode, count;
} fr_my_run;
extern const fr_my_run fr_my_gb18030_runs[];

#endif
