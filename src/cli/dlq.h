/* What the files of freshet dlq share: which letters, how they are read, and what a retry or a drop
 * of a source's and of a sink's does. One thread. */
#ifndef FR_CLI_DLQ_H
#define FR_CLI_DLQ_H

#include "base/map.h"
#include "cli/ask.h"
#include "progress/letters.h"

typedef struct fr_dlq_ask {
    fr_cli *cli;
    const fr_config *config;
    const char **places; /* the topics of dead letters that are there */
    size_t place_count;
    bool drop; /* retry otherwise */
    /* Which: all that are given must hold. */
    bool by_id;
    fr_str id_place; /* empty: the only topic */
    int64_t id_partition, id_offset;
    const char *source, *sink; /* NULL: any */
    const char **topics;       /* of the table, or the one that is named; NULL: any */
    size_t topic_count;
    /* Whose letters fr_dlq_read keeps whole, where they are wanted. untold: of a source, not these,
     * but those of before letters said which key an update took: that is in the row. */
    const char *whole_of;
    bool whole_source, untold;
    fr_map *wanted; /* names of groups (fr_letter_group) -> anything; NULL: not chosen yet */
    /* What became of it. */
    size_t keys, letters, before, refused; /* before: settled by an earlier try */
    fr_err first;                          /* of the refused ones */
} fr_dlq_ask;

typedef struct fr_dlq_group { /* the letters of one key, or of several that updates tie together */
    fr_str name;
    fr_letter **letters; /* open ones, oldest first */
    size_t count, cap;
    bool wanted;
} fr_dlq_group;

/* All letters as of now; *out owns them. whole: with the bytes of the wanted ones. */
fr_rc fr_dlq_read(const fr_dlq_ask *ask, bool whole, fr_letters **out, fr_letter ***list,
                  size_t *count, fr_err *err);
/* Their groups with open letters, in the arena, but for fr_dlq_groups_free. */
size_t fr_dlq_groups(const fr_dlq_ask *ask, fr_arena *a, fr_letter **list, size_t count,
                     fr_dlq_group **out);
void fr_dlq_groups_free(fr_dlq_group *groups, size_t count);
/* "0@41", with the topic in front where there are several. */
fr_str fr_dlq_id(const fr_dlq_ask *ask, fr_arena *a, const fr_letter *l);
/* For fr_letters_new: is it kept whole? context: the fr_dlq_ask. */
bool fr_dlq_wanted(void *context, const fr_letter *l);
/* The ID of the command line, into ask. CONFIG (dlq.id): it is none. */
fr_rc fr_dlq_read_id(fr_dlq_ask *ask, const char *id, fr_err *err);
/* It is one of those that the words of the command mean. */
bool fr_dlq_matches(const fr_dlq_ask *ask, const fr_letter *l);
/* A text for the terminal, of at most so many bytes (0: all). In the arena. */
fr_str fr_dlq_shown(fr_arena *a, fr_str s, size_t most);
fr_rc fr_dlq_no_letter(const fr_dlq_ask *ask, fr_err *err);
fr_rc fr_dlq_which(fr_err *err, const char *hint); /* the words do not say which letters */
/* The verbs that change nothing. */
fr_rc fr_dlq_list(fr_dlq_ask *ask, fr_letters *letters, fr_letter **all, size_t count, fr_err *err);
fr_rc fr_dlq_show(fr_dlq_ask *ask, fr_err *err);
/* It stays as it is, and why: shown and counted. Returns FR_OK. */
fr_rc fr_dlq_refused(fr_dlq_ask *ask, const fr_dlq_group *g, const fr_err *why);
void fr_dlq_settled(fr_dlq_ask *ask, const fr_dlq_group *g, size_t letters, bool before);
/* Marks for letters[0..count), which may be of several partitions: put is called for each. */
enum { FR_DLQ_MARK_MOST = 2000 };
fr_rc fr_dlq_marks(const fr_dlq_ask *ask, fr_arena *a, fr_letter **letters, size_t count,
                   fr_rc (*put)(void *context, const fr_letter *first, fr_str value,
                                const fr_header *headers, size_t header_count, fr_err *err),
                   void *context, fr_err *err);

/* One of them by a producer of its own; context is the fr_dlq_ask. */
fr_rc fr_dlq_put_mark(void *context, const fr_letter *first, fr_str value, const fr_header *headers,
                      size_t count, fr_err *err);

/* The wanted letters of one part. An error ends it; a key that cannot go is refused, and the others
 * go on. part NULL: it is not in the configuration any more (drop only). */
fr_rc fr_dlq_do_sink(fr_dlq_ask *ask, size_t sink, fr_err *err);
fr_rc fr_dlq_do_source(fr_dlq_ask *ask, size_t source, fr_err *err);
fr_rc fr_dlq_drop_nobodys(fr_dlq_ask *ask, bool source, fr_str part, fr_err *err);

/* A source's letter as the row it was, in the batch; table: as it is now. DATA: it cannot be told
 * any more. */
fr_rc fr_dlq_row(fr_batch *b, const fr_table *table, const fr_letter *l, fr_err *err);

#endif
