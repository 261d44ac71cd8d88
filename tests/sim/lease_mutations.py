"""What could be wrong with leases, one mistake at a time: text of the source, and what is there instead. The
simulator must notice each."""

LEASE = 'src/wire/lease.c'

# The name is the mistake. Each has a file and pairs of texts; the first of a pair must be there once.
MUTATIONS_OF_LEASES = {
    # ---- wake-ups ----
    'a_place_that_is_free_wakes_nobody': (
        LEASE, ('\t\tgrant(heir, now_ms);\n\tfill(resource, now_ms);', '\t\tgrant(heir, now_ms);')),
    'who_comes_back_is_not_looked_at': (
        LEASE, ('\tif (is_away)\n\t\treturn;\n', '\tif (is_away || !is_away)\n\t\treturn;\n')),
    'who_comes_back_gets_no_place': (
        LEASE, ('\t\tif (lease->state == HAWSER__LEASE_WAITING)\n\t\t\tfill(',
                '\t\tif (lease->state == HAWSER__LEASE_HELD)\n\t\t\tfill(')),
    'the_last_call_under_a_lease_wakes_nobody': (
        LEASE, ('if (--lease->n_running == 0 && lease->state == HAWSER__LEASE_SETTLING)',
                'if (--lease->n_running == 0 && lease->state == HAWSER__LEASE_OVER)')),
    'a_lease_that_settles_cannot_be_forced': (
        LEASE, ('} else if (lease->state != HAWSER__LEASE_SETTLING) {', '} else {')),
    'a_line_is_full_although_its_first_are_away': (
        LEASE, (' && !party->is_away &&\n\t\t       !next_in_line(resource);',
                ' && !party->is_away &&\n\t\t       !resource->n_waiting;')),
    # ---- the order ----
    'the_last_in_line_is_the_next': (
        LEASE, ('\thawser__list_append(&resource->waiters, &lease->line);',
                '\thawser__list_append(resource->waiters.next, &lease->line);')),
    'the_second_in_line_is_the_next': (
        LEASE, ('\t\tif (!lease->party->is_away)\n\t\t\treturn lease;',
                '\t\tif (!lease->party->is_away && (lease->position != 1 || resource->n_waiting == 1))\n'
                '\t\t\treturn lease;')),
    'a_party_that_is_away_gets_a_place': (
        LEASE, ('if (!lease->party->is_away)', 'if (lease->party)')),
    'only_the_first_in_line_is_looked_at': (
        LEASE, ('\t\tif (!lease->party->is_away)\n\t\t\treturn lease;',
                '\t\treturn lease->party->is_away ? NULL : lease;')),
    'who_is_away_loses_the_place_in_line': (
        LEASE, ('\tparty->is_away = is_away;\n\tif (is_away)\n\t\treturn;\n',
                '\tparty->is_away = is_away;\n\tif (is_away) {\n\t\tlist_for_each (link, &party->leases) {\n'
                '\t\t\tstruct hawser__lease *lease =\n'
                '\t\t\t\thawser__container_of(link, struct hawser__lease, of_party);\n\n'
                '\t\t\tif (lease->state == HAWSER__LEASE_WAITING)\n'
                '\t\t\t\thawser__list_move(&lease->resource->waiters, &lease->line);\n'
                '\t\t\trenumber(lease->resource);\n\t\t}\n\t\treturn;\n\t}\n')),
    # ---- how many ----
    'one_too_many_holds': (
        LEASE, ('while (resource->n_holders < resource->max_holders &&',
                'while (resource->n_holders <= resource->max_holders &&')),
    'one_too_many_waits': (
        LEASE, ('resource->n_waiting >= resource->max_waiting', 'resource->n_waiting > resource->max_waiting')),
    'who_is_away_joins_a_full_line': (
        LEASE, ('resource->n_holders < resource->max_holders && !party->is_away &&',
                'resource->n_holders < resource->max_holders &&')),
    'a_place_is_free_while_calls_run': (
        LEASE, ('} else if (lease->n_running) {', '} else if (lease->n_running > 1) {')),
    'a_place_is_free_before_the_last_call_has_ended': (
        LEASE, ('if (--lease->n_running == 0 &&', 'if (--lease->n_running <= 1 &&')),
    'a_forced_lease_keeps_its_place': (
        LEASE, ('\thawser__lease_repeat(lease);\n\tvacate(lease, now_ms);',
                '\thawser__lease_repeat(lease);\n\tlease->state = HAWSER__LEASE_OVER;')),
    'who_leaves_the_line_is_still_counted': (
        LEASE, ('\thawser__list_unlink(&lease->line);\n\tlease->resource->n_waiting--;',
                '\thawser__list_unlink(&lease->line);')),
    'a_party_has_two_standing_leases': (
        LEASE, ('if (is_standing && hawser__lease_of(resource, party))', 'if (false)')),
    'a_lease_for_a_call_counts_as_standing': (
        LEASE, ('if (lease->resource == resource && lease->is_standing)', 'if (lease->resource == resource)')),
    'a_standing_lease_counts_for_every_resource': (
        LEASE, ('if (lease->resource == resource && lease->is_standing)', 'if (lease->is_standing)')),
    # ---- fencing ----
    'a_fencing_number_is_used_again': (
        LEASE, ('lease->fencing = ++resource->last_fencing;',
                'lease->fencing = resource->last_fencing += resource->n_waiting != 0;')),
    'a_fencing_number_is_one_too_low': (
        LEASE, ('lease->fencing = ++resource->last_fencing;', 'lease->fencing = resource->last_fencing++;')),
    'fencing_numbers_begin_anew_with_each_holder': (
        LEASE, ('\tresource->n_holders--;\n', '\tresource->n_holders--;\n\tresource->last_fencing = 1;\n')),
    'a_lease_that_passes_on_keeps_its_number': (
        LEASE, ('\tif (heir)\n\t\tgrant(heir, now_ms);',
                '\tif (heir) {\n\t\tgrant(heir, now_ms);\n\t\their->fencing = lease->fencing;\n\t}')),
    # ---- handing over ----
    'the_first_in_line_gets_what_was_handed_over': (
        LEASE, ('\tlease->heir = heir;\n\tgive_up', '\tgive_up')),
    'an_heir_that_has_left_is_granted': (
        LEASE, ('\t\tif (holder->heir == lease)\n\t\t\tholder->heir = NULL;', '\t\t(void)holder;')),
    'one_heir_that_leaves_is_forgotten_by_all': (
        LEASE, ('if (holder->heir == lease)', 'if (holder->heir)')),
    'what_was_handed_over_while_calls_run_is_forgotten': (
        LEASE, ('\t\tlease->state = HAWSER__LEASE_SETTLING;',
                '\t\tlease->state = HAWSER__LEASE_SETTLING;\n\t\tlease->heir = NULL;')),
    # ---- news ----
    'a_grant_is_no_news': (
        LEASE, ('\tlease->since_ms = now_ms;\n\thawser__lease_repeat(lease);', '\tlease->since_ms = now_ms;')),
    'a_move_is_no_news': (
        LEASE, ('\t\tlease->position = position;\n\t\thawser__lease_repeat(lease);',
                '\t\tlease->position = position;')),
    'who_left_the_line_moves_nobody': (
        LEASE, ('\t\tstop_waiting(lease);\n\t\trenumber(lease->resource);', '\t\tstop_waiting(lease);')),
    'what_was_taken_away_is_no_news': (
        LEASE, ('\thawser__lease_repeat(lease);\n\tvacate(lease, now_ms);', '\tvacate(lease, now_ms);')),
    'a_release_is_no_news': (
        LEASE, ('\tif (end == HAWSER__LEASE_LEFT)\n', '\tif (end != HAWSER__LEASE_HANDED_OVER)\n')),
    'there_is_news_of_who_left': (
        LEASE, ('\tif (end == HAWSER__LEASE_LEFT)\n\t\thawser__lease_hear(lease);\n\telse\n'
                '\t\thawser__lease_repeat(lease);', '\thawser__lease_repeat(lease);')),
    'news_is_told_for_ever': (
        LEASE, ('\t\treturn NULL;\n\tlease = hawser__container_of(table->news.next, struct hawser__lease, news);\n'
                '\thawser__list_unlink(&lease->news);',
                '\t\treturn NULL;\n\tlease = hawser__container_of(table->news.next, struct hawser__lease, news);\n'
                '\tif (lease->state != HAWSER__LEASE_HELD)\n\t\thawser__list_unlink(&lease->news);')),
    # ---- parties and tickets ----
    'a_forced_lease_stays_its_partys': (
        LEASE, ('\t\tlease->end = HAWSER__LEASE_FORCED;\n\t\tleave_party(lease);',
                '\t\tlease->end = HAWSER__LEASE_FORCED;')),
    'a_ticket_is_used_again': (
        LEASE, ('lease->ticket = ++resource->table->last_ticket;',
                'lease->ticket = resource->table->last_ticket += !resource->n_waiting;')),
    'it_is_not_noted_since_when': (
        LEASE, ('\tlease->since_ms = now_ms;\n\thawser__lease_repeat(lease);', '\thawser__lease_repeat(lease);')),
    'a_resource_is_not_freed': (
        LEASE, ('\tfree(resource);\n', '')),
}
