/* A YAML file as nodes that know their places; all values are still text. */
#ifndef FR_CONTROL_CONFIG_TREE_H
#define FR_CONTROL_CONFIG_TREE_H

#include "base/arena.h"

typedef struct fr_text_file { /* a file that was read, for places and excerpts */
    const char *name;
    fr_str text;
} fr_text_file;

typedef enum { FR_NODE_TEXT, FR_NODE_LIST, FR_NODE_MAP } fr_node_kind;
typedef struct fr_node fr_node;

typedef struct fr_place {
    const fr_text_file *file;
    int line, column; /* from 1 */
} fr_place;

typedef struct fr_member { /* of a map; in a list the key is empty */
    fr_str key;
    fr_place place; /* of the key */
    fr_node *value;
} fr_member;

struct fr_node {
    fr_node_kind kind;
    fr_place place;
    fr_str text; /* TEXT; also NUL-terminated */
    bool plain;  /* TEXT without quotes */
    fr_member *members;
    size_t count, cap;
};

void fr_node_add(fr_arena *a, fr_node *n, fr_str key, fr_place place, fr_node *value);
fr_member *fr_node_find(const fr_node *map, fr_str key); /* or NULL */

struct fr_loader;
/* The one document of a file, or NULL after its problems were reported. */
fr_node *fr_yaml_read(struct fr_loader *l, const fr_text_file *file);

#endif
