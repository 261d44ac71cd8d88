/* Hawser: RPC for plain C whose connection holds. Includes the whole API. */

#ifndef HAWSER_H
#define HAWSER_H

#include <hawser/call.h>
#include <hawser/client.h>
#include <hawser/common.h>
#include <hawser/hub.h>
#include <hawser/lease.h>
#include <hawser/log.h>
#include <hawser/peer.h>
#include <hawser/server.h>
#include <hawser/service.h>
#include <hawser/status.h>
#include <hawser/version.h>

#endif /* HAWSER_H */
