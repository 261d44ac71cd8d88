/* Every name that the output defines, and that no two are the same. */

#ifndef GEN_SYMBOLS_H
#define GEN_SYMBOLS_H

#include "model.h"

/** Chooses the C names of all methods; names that collide become errors. */
void symbols_assign(struct generator *generator);

#endif
