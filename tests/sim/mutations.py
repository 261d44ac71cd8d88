"""What could be wrong with a session, one mistake at a time: text of the source, and what is there
instead. The simulator must notice each.

A mistake that changes nothing which anyone could see is not in the list: to acknowledge twice, say, or to
rewind a log that is rewound when it is resumed all the same."""

FRAME, SESSION = 'src/wire/frame.c', 'src/wire/session.c'
LOG, LOG_H = 'src/wire/log.c', 'src/wire/log.h'
STORE = 'src/wire/store.c'
SESSION_H, FRAME_H = 'src/wire/session.h', 'src/wire/frame.h'
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
        'tests/sim/end.c', ('\tend->length = end->skip = 0;', '\tend->skip = 0;')),
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
}
