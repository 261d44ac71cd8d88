"""What could be wrong with a session and its streams, one mistake at a time: text of the source, and
what is there instead. The simulator must notice each; a few that show only in a state which it does not
reach are a suite's to notice.

A mistake that changes nothing which anyone could see is not in the list: to acknowledge twice, say, or to
rewind a log that is rewound when it is resumed all the same."""

FRAME, SESSION = 'src/wire/frame.c', 'src/wire/session.c'
LOG, LOG_H = 'src/wire/log.c', 'src/wire/log.h'
STORE = 'src/wire/store.c'
SESSION_H = 'src/wire/session.h'
OUTBOX, OUTBOX_H = 'src/wire/outbox.c', 'src/wire/outbox.h'
WINDOW, BUFFER = 'src/wire/window.c', 'src/util/buffer.c'
CLIENT, SERVER = 'tests/sim/client.c', 'tests/sim/server.c'


def not_counted(kind):
    return (SESSION, ('if (hawser__frame_is_counted(frame->kind)) {',
                      f'if (hawser__frame_is_counted(frame->kind) && frame->kind != HAWSER__FRAME_{kind}) {{'))


# The name is the mistake. Each has a file and pairs of texts; the first of a pair must be there once.
MUTATIONS = {
    # ---- acknowledgements ----
    'an_ack_is_one_frame_ahead': (
        SESSION, ('hawser__frame_put_ack(&session->control, session->received)',
                  'hawser__frame_put_ack(&session->control, session->received + 1)')),
    'a_riding_ack_is_one_frame_ahead': (
        SESSION, ('&& is_due ? session->received : 0', '&& is_due ? session->received + 1 : 0')),
    'an_ack_is_not_owed_for_a_single_frame': (
        SESSION_H, ('session->log.is_kept && session->received != session->told;',
                    'session->log.is_kept && session->received > session->told + 1;')),
    'acks_are_not_heeded': (
        LOG, ('\tlog->claimed = number;\n\ttrim(log);', '\tlog->claimed = number;')),
    'a_call_that_is_taken_back_takes_its_ack_along': (
        FRAME, ('\tat = put_field(at, FIELD_ACK, ack);\n\t*at++ = TAG(FIELD_PAYLOAD, WIRE_BYTES);\n\tmore',
                '\t*at++ = TAG(FIELD_PAYLOAD, WIRE_BYTES);\n\tmore')),
    'acks_of_the_session_before_are_sent_in_the_next': (
        LOG, ('\t\t\thawser__frame_clear_ack(frame);', '\t\t\t(void)frame;')),
    'the_next_session_counts_on': (
        LOG, ('\tlog->restarted = log->sent;', '')),
    # ---- the log ----
    'the_log_gives_away_a_frame_too_many': (
        LOG, ('\t}\n\tdrop_frames(log, up_to);\n}',
              '\t}\n\tdrop_frames(log, up_to + (up_to > 0 && log->acked < log->last));\n}')),
    'the_log_is_not_rewound': (
        LOG, ('\tlog->chunk = NULL;\n\tlog->written = log->claimed = log->acked;\n'
              '\tlog->unwritten = log->frames.length;\n', '')),
    'a_frame_cut_in_the_middle_goes_on_there': (
        LOG, ('\tlog->unwritten = log->frames.length;\n\tlog->partial = 0;',
              '\tlog->unwritten = log->frames.length;')),
    'what_was_sent_is_forgotten_with_the_connection': (
        LOG, ('\tlog->unwritten = log->frames.length;\n\tlog->partial = 0;',
              '\tlog->unwritten = log->frames.length;\n\tlog->partial = 0;\n\tlog->sent = log->acked;')),
    'a_frame_counts_as_sent_when_it_is_through': (
        LOG, ('\tif (log->sent < log->written + (log->partial != 0))\n'
              '\t\tlog->sent = log->written + (log->partial != 0);',
              '\tif (log->sent < log->written)\n\t\tlog->sent = log->written;')),
    'the_last_frame_that_was_sent_counts_as_not_sent': (
        LOG_H, ('return number <= log->sent;', 'return number < log->sent;')),
    # ---- going on ----
    'replay_begins_one_frame_late': (
        LOG, ('\tforget(log, log->restarted + count);',
              '\tforget(log, log->restarted + count + (log->restarted + count < log->sent));')),
    'replay_begins_one_frame_early': (
        LOG, ('\tforget(log, log->restarted + count);',
              '\tforget(log, log->restarted + count - (log->restarted + count > log->acked));')),
    'calls_are_not_counted': not_counted('CALL'),
    'messages_are_not_counted': not_counted('MESSAGE'),
    'ends_are_not_counted': not_counted('END'),
    'cancels_are_not_counted': not_counted('CANCEL'),
    'windows_are_not_counted': not_counted('WINDOW'),
    'the_client_asks_for_a_frame_that_it_has': (
        CLIENT, ('asked.received = session->received;',
                 'asked.received = session->received - (session->received > session->told);')),
    'the_server_asks_for_a_frame_that_it_has': (
        SERVER, ('given.received = session->received;',
                 'given.received = session->received - (session->received > 0);')),
    'the_old_connection_is_read_after_the_new_one_was_told': (
        SERVER,
        ('\tstruct side *side;\n\n\tif (host->end.side) {\n',
         '\tstatic uint8_t rest[1 << 17];\n\tstruct side *side;\n\tsize_t length = 0;\n\n'
         '\tif (host->end.side && host->end.room) {\n'
         '\t\tlength = host->end.length;\n'
         '\t\tmemcpy(rest, host->end.inbox, length);\n'
         '\t\tlength += side_read(host->end.side, rest + length, host->end.room - length);\n'
         '\t}\n'
         '\tfor (size_t left = length, at = 0; left; left = length - at)\n'
         '\t\tif (left < 4 || left < 4 + hawser__frame_length(rest + at))\n'
         '\t\t\tlength = at;\n'
         '\t\telse\n'
         '\t\t\tat += 4 + hawser__frame_length(rest + at);\n'
         '\tif (host->end.side) {\n'),
        ('\tput_opened(host);\n\treturn true;',
         '\tput_opened(host);\n\tif (length)\n\t\tmemcpy(host->end.inbox, rest, length);\n'
         '\thost->end.length = length;\n\treturn true;')),
    'half_a_frame_of_the_old_connection_is_kept': (
        'tests/sim/end.c', ('\tend->length = end->skip = end->straight_left = 0;', '\tend->skip = end->straight_left = 0;')),
    'pings_of_the_old_connection_are_kept': (
        SESSION, ('\thawser__buffer_deinit(&session->control);\n\thawser__log_rewind(&session->log);',
                  '\thawser__log_rewind(&session->log);')),
    'control_frames_are_written_into_others': (
        SESSION, ('if (session->log_flows && (log->partial || !session->control.length)) {',
                  'if (session->log_flows && !session->control.length) {')),
    # ---- the store ----
    'any_token_will_do': (
        STORE, ('!is_same(asked->token.data, kept->session->token, HAWSER__TOKEN_BYTES)', 'false')),
    'anyone_will_do': (
        STORE, ('kept->identity != identity', 'false')),
    'a_late_attempt_is_let_in': (
        STORE, ('if (asked->attempt <= kept->session->attempt)', 'if (false)')),
    'what_grows_while_away_is_not_seen': (
        STORE, ('\tstore->away_bytes += now - kept->log_bytes;\n', '')),
    'the_youngest_expires_first': (
        STORE, ('store->away.next', 'store->away.previous')),
    'returning_is_forgotten': (
        STORE, ('\thawser__list_unlink(&kept->away);\n\tstore->n_away--;', '\tstore->n_away--;')),
    # ---- pieces ----
    'no_piece_tells_the_size': (
        OUTBOX, ('return is_announced || length <= HAWSER__PIECE_BYTES ? MARK_REST : length;', 'return MARK_REST;')),
    'a_message_of_one_piece_tells_its_size': (
        OUTBOX, ('return is_announced || length <= HAWSER__PIECE_BYTES ?', 'return is_announced ?')),
    'an_announced_message_tells_its_size_again': (
        OUTBOX, ('return is_announced || length', 'return length')),
    'the_size_is_told_by_the_second_piece': (
        OUTBOX, ('\tborrowed->mark = mark_of(length, is_announced);',
                 '\t(borrowed->next ? borrowed->next : borrowed)->mark = mark_of(length, is_announced);')),
    'a_used_chunk_keeps_its_mark': (
        BUFFER, ('\tchunk->mark = 0;', '')),
    'the_head_goes_behind_the_payload': (
        OUTBOX, ('\t\thawser__buffer_link(out, before);\n', ''),
        ('\thawser__buffer_link(out, chunk);\n\thawser__log_grown(&session->log, length + payload);',
         '\thawser__buffer_link(out, chunk);\n\tif (chunk->loan)\n\t\thawser__buffer_link(out, before);\n'
         '\thawser__log_grown(&session->log, length + payload);')),
    'an_ack_that_should_ride_on_a_piece_is_lost': (
        OUTBOX, ('hawser__frame_message_head(head, ack,', 'hawser__frame_message_head(head, 0,')),
    'pieces_of_a_loan_begin_one_byte_early': (
        OUTBOX, ('loan, packed + at, rest', 'loan, packed + at - (at > 0), rest')),
    'the_cursor_does_not_follow_a_payload_into_its_chunk': (
        LOG, ('\t\tif (part > log->chunk->end - log->at)\n\t\t\tpart = log->chunk->end - log->at;\n', '')),
    'what_is_taken_by_its_beginning_is_not_counted': (
        SESSION, ('\treturn take(session, frame, length, problem);', '\treturn 0;')),
    # ---- windows ----
    'a_piece_does_not_reduce_the_window': (
        OUTBOX, ('\t\thawser__outbox_spend(outbox, session, bytes);', '\t\t;')),
    'a_piece_reduces_the_window_twice': (
        OUTBOX, ('\t\thawser__outbox_spend(outbox, session, bytes);',
                 '\t\thawser__outbox_spend(outbox, session, bytes);\n'
                 '\t\toutbox->window -= (long long)outbox->last_cost;')),
    'a_piece_costs_its_payload_alone': (
        OUTBOX, ('\t\thawser__outbox_spend(outbox, session, bytes);',
                 '\t\thawser__outbox_spend(outbox, session, bytes);\n'
                 '\t\toutbox->window += HAWSER__MESSAGE_COST;')),
    'a_piece_goes_without_a_window': (
        OUTBOX, ('(outbox->window > 0 || outbox->first->mark == MARK_FRAME)', '(outbox->window > -100000)')),
    'an_end_needs_a_window': (
        OUTBOX, ('(outbox->window > 0 || outbox->first->mark == MARK_FRAME)', 'outbox->window > 0')),
    'a_window_does_not_count': (
        OUTBOX, ('\toutbox->window += (long long)bytes;\n', '')),
    'a_window_gives_no_turn': (
        OUTBOX, ('\toutbox->stuck_ms = 0;\n\ttake_part(session, outbox);', '\toutbox->stuck_ms = 0;')),
    'a_window_that_becomes_known_is_ignored': (
        OUTBOX, ('\t\toutbox->window += change;\n', '')),
    'a_window_that_becomes_known_counts_for_old_calls_alone': (
        OUTBOX, ('\tsession->peer_window = (long long)window;\n', '')),
    'what_waits_overdraws_the_windows_of_another_session': (
        OUTBOX_H, ('return outbox->last_cost && outbox->window + (long long)outbox->last_cost <= 0;',
                   'return false;')),
    'a_window_is_never_given_back': (
        WINDOW, ('\treturn window->taken >= part_of(window->size) ? window->taken : 0;', '\treturn 0;')),
    'a_window_is_given_back_too_late': (
        WINDOW, ('window->taken >= part_of(window->size) ?', 'window->taken >= 2 * window->size ?')),
    'a_window_is_given_back_twice': (
        WINDOW, ('\twindow->taken -= bytes;', '\twindow->taken -= bytes / 2;')),
    'what_a_window_grows_by_is_not_given_back': (
        WINDOW, ('\t\twindow->taken += size - window->size;\n', '')),
    'what_a_window_shrinks_by_is_given_back': (
        WINDOW, ('\t\twindow->taken -= less;\n', '')),
    'a_message_does_not_use_the_window': (
        WINDOW, ('\twindow->left -= (long long)bytes;\n', '')),
    # ---- turns ----
    'one_call_has_all_the_turns': (
        OUTBOX, ('\t\t\thawser__list_move(&session->turns, &outbox->turn);', '\t\t\t;')),
    'a_call_that_had_its_turn_has_no_other': (
        OUTBOX, ('\t\t\thawser__list_move(&session->turns, &outbox->turn);',
                 '\t\t\thawser__list_unlink(&outbox->turn);')),
    'the_log_is_filled_without_a_bound': (
        OUTBOX, ('(session->log.unwritten < HAWSER__AHEAD_BYTES ||', '(session->log.unwritten < SIZE_MAX ||')),
    'the_log_is_filled_by_one_piece_at_a_time': (
        OUTBOX, ('(session->log.unwritten < HAWSER__AHEAD_BYTES ||', '(session->log.unwritten == 0 ||')),
    'pieces_go_without_a_connection': (
        OUTBOX, ('if (!session->log_flows || session->state', 'if (session->state')),
    # ---- the end of outboxes ----
    'an_outbox_that_was_left_stays': (
        OUTBOX, ('if (outbox->is_left && !outbox->first)', 'if (false)')),
    'an_outbox_that_is_left_full_is_dropped': (
        OUTBOX, ('\tif (outbox->first)\n\t\toutbox->is_left = true;', '\tif (false)\n\t\toutbox->is_left = true;')),
    'what_is_dropped_is_not_freed': (
        OUTBOX, ('\tfree_chunks(session, outbox->first);\n\toutbox->first = outbox->last = NULL;',
                 '\toutbox->first = outbox->last = NULL;')),
    'what_is_dropped_is_still_counted': (
        OUTBOX, ('\tsession->waiting_bytes -= outbox->bytes;\n\toutbox->bytes = 0;', '\toutbox->bytes = 0;')),
    'what_had_its_turn_is_still_counted': (
        OUTBOX, ('\tsession->waiting_bytes -= bytes;', '')),
    'what_is_returned_is_not_freed': (
        OUTBOX, ('\tfree_chunks(session, reserved);', '')),
    'the_session_ends_and_leaves_its_outboxes': (
        SESSION, ('\t\thawser__outbox_free(session, outbox);\n\t\tat = 0;', '')),
    # ---- loans ----
    'a_loan_is_never_given_back': (
        BUFFER, ('\t\tfree(chunk);\n\t\thawser__loan_unref(loan);', '\t\tfree(chunk);')),
}

# By the suite that must notice them.
MUTATIONS_FOR_SUITES = {
    'turns': {
        'small_frames_that_pass_are_not_counted': (
            SESSION, ('\t\tsession->passed_bytes += session->log.frames.length - before;', '\t\t;')),
        'small_frames_that_pass_are_counted_for_ever': (
            OUTBOX, ('\t\tsession->passed_bytes = 0;\n', '')),
        'small_frames_may_pass_without_a_bound': (
            OUTBOX, ('session->passed_bytes >= HAWSER__PIECE_BYTES', 'false')),
    },
    'outbox': {
        'a_window_that_turns_out_smaller_leaves_its_call_in_turn': (
            OUTBOX, ('\t\tif (may_go(outbox))\n\t\t\ttake_part(session, outbox);\n\t\telse\n'
                     '\t\t\thawser__list_unlink(&outbox->turn);', '\t\ttake_part(session, outbox);')),
    },
    'log': {
        'acks_are_cleared_in_payloads': (
            LOG, ('size_t at = chunk->start + beyond;', 'size_t at = chunk->start;')),
    },
    'outbox_ends': {
        'a_loan_is_given_back_while_it_is_needed': (
            BUFFER, ('if (!loan || atomic_fetch_sub_explicit(&loan->references, 1, memory_order_acq_rel) > 1)',
                     'if (!loan || atomic_fetch_sub_explicit(&loan->references, 1, memory_order_acq_rel) > 2)')),
        'what_is_dropped_stays_in_turn': (
            OUTBOX, ('\toutbox->bytes = 0;\n\thawser__list_unlink(&outbox->turn);', '\toutbox->bytes = 0;')),
    },
    'window': {
        'a_window_that_is_overdrawn_is_not_noticed': (
            WINDOW, ('\tif (window->left <= 0)\n\t\treturn false;\n', '')),
        'a_window_that_grew_in_vain_stays': (
            WINDOW, ('\t\t\tline->size = line->size_before;', '\t\t\t;')),
        'a_window_grows_above_the_most': (
            WINDOW, ('line->size > line->most / 2 ? line->most : 2 * line->size', '2 * line->size')),
    },
    'pieces': {
        'a_message_with_more_behind_its_payload_begins': (
            SESSION, (' &&\n\t       (size_t)(frame->payload - data) + frame->payload_length == size;', ';')),
        'a_message_begins_before_the_session': (
            SESSION, (' || session->state != HAWSER__SESSION_OPEN ||\n', ' ||\n')),
    },
}
