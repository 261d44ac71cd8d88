/* The optional context of a call. */

#include "rpc/context.h"

#include "rpc/outgoing.h"
#include "util/alloc.h"

/* The struct may be an older program's: only what its size covers is there. The
 * first version ends with `cancelled`. */
bool hawser__context_is_valid(const struct hawser_context *context)
{
	return !context || context->size >= offsetof(struct hawser_context, cancelled) +
						    sizeof context->cancelled;
}

/* Holds what came with a reply: the call's arena, moved here. */
struct memory {
	struct hawser__arena arena;
};

static void release(struct hawser_context *context)
{
	struct memory *memory = context->memory;

	if (memory)
		hawser__arena_deinit(&memory->arena);
	free(memory);
	context->memory = NULL;
	context->reply_metadata = NULL;
	context->n_reply_metadata = 0;
	context->details = NULL;
	context->n_details = 0;
}

static void set_ok(struct hawser_error *error)
{
	error->status = HAWSER_OK;
	error->outcome = HAWSER_OUTCOME_UNKNOWN;
	error->code = 0;
	error->message[0] = 0;
}

void hawser__context_reset(struct hawser_context *context)
{
	if (!context)
		return;
	release(context);
	set_ok(&context->error);
}

void hawser_context_clear(struct hawser_context *context)
{
	if (!context || !hawser__context_is_valid(context))
		return;
	hawser__context_reset(context);
	__atomic_store_n(&context->cancelled, 0, __ATOMIC_RELEASE);
}

void hawser_context_cancel(struct hawser_context *context)
{
	if (context && hawser__context_is_valid(context))
		__atomic_store_n(&context->cancelled, 1, __ATOMIC_RELEASE);
}

bool hawser__context_is_cancelled(const struct hawser_context *context)
{
	return context && __atomic_load_n(&context->cancelled, __ATOMIC_ACQUIRE);
}

void hawser__context_fill(struct hawser_context *context, struct hawser__outgoing *outgoing)
{
	struct memory *memory;

	if (!context)
		return;
	hawser__context_reset(context);
	if (outgoing->error.status != HAWSER_OK)
		context->error = outgoing->error;
	if (!outgoing->call.n_metadata && !outgoing->n_details)
		return;
	memory = hawser__malloc(sizeof *memory);
	if (!memory)
		return; /* the status counts; what came with it is left out */
	memory->arena = outgoing->arena;
	hawser__arena_init(&outgoing->arena, memory->arena.limit);
	context->memory = memory;
	context->reply_metadata = outgoing->call.metadata;
	context->n_reply_metadata = outgoing->call.n_metadata;
	context->details = outgoing->details;
	context->n_details = outgoing->n_details;
}
