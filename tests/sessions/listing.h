/* The handler of List: streams that go as fast as they are taken, and streams in steps. */

#ifndef TESTS_SESSIONS_LISTING_H
#define TESTS_SESSIONS_LISTING_H

#include "ledger.hawser.h"

/** Sends what the order asks for; the call is ended in any case, sooner or later. */
void listing_start(struct hawser_call *call, const Ledger__Order *order);

#endif /* TESTS_SESSIONS_LISTING_H */
