/* Intrusive lists: order, and unlinking that is always safe. */

#include "support/suite.h"
#include "util/list.h"

struct item {
	int number;
	struct hawser__list link;
};

static struct hawser__list head;
static struct item items[5];

static void fill(void)
{
	hawser__list_init(&head);
	for (int i = 0; i < 5; i++) {
		items[i].number = i;
		hawser__list_append(&head, &items[i].link);
	}
}

/* The numbers in the list as digits of a decimal number, 9 in front. */
static int digits(void)
{
	struct hawser__list *link;
	int result = 9;

	list_for_each (link, &head)
		result = result * 10 + hawser__container_of(link, struct item, link)->number;
	return result;
}

START_TEST(list_keeps_the_order_of_appending)
{
	hawser__list_init(&head);
	ck_assert(hawser__list_empty(&head));
	fill();
	ck_assert(!hawser__list_empty(&head));
	ck_assert_int_eq(digits(), 901234);
}
END_TEST

START_TEST(list_unlinks_twice_without_harm)
{
	fill();
	hawser__list_unlink(&items[2].link);
	hawser__list_unlink(&items[2].link);
	ck_assert_int_eq(digits(), 90134);
	ck_assert(hawser__list_empty(&items[2].link));
}
END_TEST

START_TEST(list_moves_linked_and_unlinked_to_the_end)
{
	fill();
	hawser__list_move(&head, &items[1].link);
	ck_assert_int_eq(digits(), 902341);
	hawser__list_move(&head, &items[1].link);
	ck_assert_int_eq(digits(), 902341);
	hawser__list_unlink(&items[0].link);
	hawser__list_move(&head, &items[0].link);
	ck_assert_int_eq(digits(), 923410);
}
END_TEST

START_TEST(list_for_each_safe_allows_unlinking)
{
	struct hawser__list *link, *following;
	int visited = 0;

	fill();
	list_for_each_safe (link, following, &head) {
		hawser__list_unlink(link);
		visited++;
	}
	ck_assert_int_eq(visited, 5);
	ck_assert(hawser__list_empty(&head));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/list");
	TCase *tcase = suite_case(suite, "list");

	tcase_add_test(tcase, list_keeps_the_order_of_appending);
	tcase_add_test(tcase, list_unlinks_twice_without_harm);
	tcase_add_test(tcase, list_moves_linked_and_unlinked_to_the_end);
	tcase_add_test(tcase, list_for_each_safe_allows_unlinking);
	return suite_run(suite);
}
