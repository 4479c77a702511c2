/* A reader of the four keys of the configuration (TOML) that say where the daemon is. Everything else is stepped over. */
#ifndef ONCELEAF_TOML_H
#define ONCELEAF_TOML_H

#include "place.h"

#include <stddef.h>

/* false: one of the keys is written in a way that is not understood, or the text is no TOML, at that line. */
bool scan_configuration(struct place *, const char *text, size_t length, unsigned *line);

#endif
