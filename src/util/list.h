/* Intrusive, circular, doubly linked lists.
 *
 * The link lives in the element, so that linking never allocates and unlinking
 * needs no search. A head is a link as well; an unlinked link points to itself,
 * which makes unlinking twice harmless. */

#ifndef HAWSER_UTIL_LIST_H
#define HAWSER_UTIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct hawser__list {
	struct hawser__list *next, *previous;
};

#define hawser__container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define list_for_each(link, head) \
	for ((link) = (head)->next; (link) != (head); (link) = (link)->next)

/** Allows the current element to be unlinked. */
#define list_for_each_safe(link, following, head)                                 \
	for ((link) = (head)->next, (following) = (link)->next; (link) != (head); \
	     (link) = (following), (following) = (link)->next)

static inline void hawser__list_init(struct hawser__list *link)
{
	link->next = link->previous = link;
}

static inline bool hawser__list_empty(const struct hawser__list *head)
{
	return head->next == head;
}

static inline void hawser__list_append(struct hawser__list *head, struct hawser__list *link)
{
	link->previous = head->previous;
	link->next = head;
	head->previous->next = link;
	head->previous = link;
}

static inline void hawser__list_unlink(struct hawser__list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	hawser__list_init(link);
}

/** Moves a linked or unlinked element to the end. */
static inline void hawser__list_move(struct hawser__list *head, struct hawser__list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	hawser__list_append(head, link);
}

#endif /* HAWSER_UTIL_LIST_H */
