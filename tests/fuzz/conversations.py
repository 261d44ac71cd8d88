"""The seeds of the conversations: programs, of which fuzz_conversation.c and conversation/ say what
the bytes mean. Six of settings, then operations. Sizes are numbers of content_size()."""

SMALL, MIDDLE, PIECE, LARGE, LARGEST = 4, 8, 13, 14, 15
UNARY, UPLOAD, COUNT, CHAT, RAW_UNARY, RAW_UPLOAD, RAW_CHAT, LIMITED = range(8)
IN_PIECES, ANNOUNCED, BY_NAME, METADATA = 0x80, 0x40, 0x20, 0x10
ECHO, KEEP, STOP, FAIL, CANCEL, WAIT = range(6)  # what the text tells a handler
IN_TIME = 0x80                                   # within a second
AS_CLIENT, WITH_SESSION, WINDOW_OF_1, LARGE_WINDOW, UNANSWERED = 0x01, 0x02, 0x04, 0x0c, 0x40
WHOLE = 0x80
PUMP = 0x40


SAYS_HELLO, OFFERS, MANY, HAS_LABELS = 1, 2, 4, 8


def program(*operations, ends=0, limits=0, patience=0, close=3, hello=0):
    return bytes([ends, limits, patience, close, hello, 0]) + b"".join(operations)


def op(code, *operands):
    return bytes([code | PUMP, *operands])


def make(method, size=None, order=ECHO, reply=SMALL, count=1):
    """A call whose handler answers with `count` messages, if a stream, as large as `reply`."""
    how = order | (count - 1) % 8 << 3
    return op(1, method, how, (reply - 1) % 16, *([] if size is None else [size]))


def say(piece, size, talk=0, filler=0):
    return op(2, talk, piece, size, filler)


def go_on(piece, talk=0):
    return op(2, talk, piece)


def last(talk=0):
    return op(4, talk)


def give(talk=0):
    return op(5, talk, 0x80)


def act(which, action, size):
    return op(8, which, action, size)


def end(talk=0, status=0, size=None):
    return op(7, talk, status, *([] if size is None else [size]))


def hello(how):
    """While open; 8: not marked as one to be skipped."""
    return op(14, 0x43 | how << 2)


BREAK, AWAY, HOUR = op(9, 0x08), op(9, 0x28), op(10, 8)
DEAF, DRAIN = op(0x1a), op(14, 0)
PIECES = [go_on(PIECE), give()] * 4

CONVERSATIONS = {
    "nothing": program(),
    "unary": program(*(make(kind | METADATA, size) for kind in (UNARY, RAW_UNARY, LIMITED)
                       for size in (0, SMALL, MIDDLE, PIECE))),
    "unary-in-pieces": program(make(UNARY | IN_PIECES, LARGEST, reply=LARGEST), *PIECES,
        make(RAW_UNARY | IN_PIECES, LARGEST, reply=LARGE), *PIECES),
    "unary-in-small-pieces": program(make(UNARY | IN_PIECES, MIDDLE, reply=PIECE),
        *[go_on(6), give()] * 12, ends=WINDOW_OF_1, limits=4),
    "unary-whole": program(make(UNARY, LARGEST, reply=LARGEST), give(), give(), give()),
    "upload": program(make(UPLOAD), say(MIDDLE, SMALL), say(PIECE, LARGE), go_on(PIECE),
        say(WHOLE, LARGE), say(0, 0), last(), make(RAW_UPLOAD), say(MIDDLE, SMALL, filler=3),
        last()),
    "count": program(make(COUNT | ANNOUNCED, SMALL, count=7), *[give()] * 9),
    "count-large": program(make(COUNT | BY_NAME, LARGE, reply=LARGE, count=5), *[give()] * 20,
        ends=WINDOW_OF_1),
    "chat": program(*(operation for kind in (CHAT, RAW_CHAT) for operation in (
        make(kind, order=WAIT, reply=LARGEST), say(WHOLE, SMALL), say(PIECE, LARGEST), give(),
        go_on(PIECE), give(), go_on(PIECE), give(), last(), give()))),
    "chats-by-turns": program(*[make(CHAT)] * 3, *(say(PIECE, LARGE, talk) for talk in range(3)),
        *(go_on(PIECE, talk) for talk in range(3)), *(give(talk) for talk in range(3)),
        *(last(talk) for talk in range(3))),
    "handlers": program(*(
        operation for order in range(6) for action in range(14)
        for operation in (make(CHAT, order=order), say(WHOLE, SMALL), act(0, action, SMALL)))),
    "answered-later": program(make(UNARY, SMALL, KEEP), make(UPLOAD, order=KEEP),
        say(WHOLE, SMALL), act(0, 0, LARGE), act(1, 1, LARGEST), give(), give(1)),
    "cancelled": program(make(UNARY | IN_PIECES, LARGE), go_on(MIDDLE), op(6, 0),
        make(COUNT, LARGE, reply=LARGE, count=3), op(6, 0), make(CHAT, order=CANCEL),
        say(MIDDLE, LARGE), op(6, 0)),
    "a-reply-cancelled": program(make(UNARY, LARGEST, reply=LARGEST), op(6, 0), give(),
        make(UNARY, SMALL)),
    "drained": program(make(UNARY, LARGEST, reply=LARGEST), make(CHAT), DRAIN, give(1),
        say(WHOLE, SMALL), last(), give(1)),
    "deadlines": program(make(UNARY | IN_PIECES, LARGE, IN_TIME), go_on(MIDDLE),
        make(CHAT, order=IN_TIME), make(COUNT, LARGE, IN_TIME, LARGE, 8), op(10, 5)),
    "breaks": program(make(UNARY | IN_PIECES, LARGEST, reply=LARGEST), BREAK, go_on(PIECE), BREAK,
        go_on(PIECE), BREAK, go_on(PIECE), BREAK, give(), BREAK, give(), give(), op(11),
        ends=WITH_SESSION),
    "breaks-of-a-chat": program(make(CHAT), say(PIECE, LARGE), BREAK, go_on(PIECE), give(), BREAK,
        give(), say(WHOLE, SMALL), AWAY, op(10, 2), BREAK, last(), give(),
        ends=WITH_SESSION | WINDOW_OF_1, limits=4),
    "a-session-lost": program(make(CHAT), say(PIECE, LARGE), AWAY, HOUR, BREAK, make(UNARY, SMALL),
        ends=WITH_SESSION),
    "a-slow-peer": program(make(COUNT, LARGE, reply=LARGE, count=3),
        make(UNARY, LARGEST, reply=LARGEST), *[op(10, 3)] * 4, ends=WINDOW_OF_1, patience=1),
    "a-slow-peer-closed": program(DEAF, make(COUNT, LARGE, reply=LARGE, count=3), *[op(10, 4)] * 4,
        patience=6),
    "an-idle-peer": program(make(UNARY, LARGEST, reply=LARGEST), op(10, 5), give(), give(),
        op(10, 5), patience=16),
    "hello": program(make(UNARY, SMALL), *(hello(how) for how in range(16)), BREAK, hello(3), give(),
        hello=SAYS_HELLO | OFFERS | HAS_LABELS, ends=WITH_SESSION),
    "hello-short-of-memory": program(*(operation for count in range(16) for operation in (
        op(0x1f, count), hello(3), BREAK)), hello=SAYS_HELLO | OFFERS, ends=WITH_SESSION),
    "small-limits": program(*(make(kind | IN_PIECES, LARGE) for kind in (UNARY, COUNT, LIMITED)),
        make(CHAT), say(PIECE, LARGE), make(UNARY, MIDDLE), limits=0x3f, patience=8),
    "odd": program(make(CHAT), *(op(12, 0, how) for how in range(8)), make(UPLOAD), op(12, 0, 3),
        make(UPLOAD), op(12, 0, 4)),
    "short-of-memory": program(*(operation for count in range(12) for operation in (
        op(0x1f, count), make(CHAT), say(PIECE, LARGE)))),
    "raw": program(make(CHAT), op(13, 0x84, 0x4a, 2, 8, 1), op(13, 3, 0, 0, 1)),
    "client-unary": program(act(UNARY, 0, SMALL), end(size=SMALL), act(RAW_UNARY, 0, LARGE),
        give(), give(), end(size=LARGE), act(UNARY, 0, SMALL), end(status=5), ends=AS_CLIENT),
    "client-reply-in-pieces": program(act(UNARY, 0, SMALL), say(PIECE, LARGEST), go_on(PIECE),
        go_on(PIECE), end(), ends=AS_CLIENT),
    "client-upload": program(act(UPLOAD, 4, LARGE), act(0xc0, 0, LARGE), give(),
        act(0xc0, 0, SMALL), give(), act(0xc0, 8, 1), give(), act(0xc0, 3, 0), end(size=SMALL),
        ends=AS_CLIENT | WINDOW_OF_1),
    "client-count": program(act(COUNT, 0, SMALL), say(WHOLE, SMALL), say(PIECE, LARGE),
        act(0xc0, 6, 0), go_on(PIECE), say(WHOLE, SMALL), act(0xc0, 7, 0), end(), ends=AS_CLIENT,
        limits=4),
    "client-chat": program(act(CHAT, 4, SMALL), say(PIECE, LARGE), give(), go_on(PIECE), give(),
        act(0xc0, 0, LARGEST), give(), give(), act(0xc0, 3, 0), say(WHOLE, SMALL), end(),
        ends=AS_CLIENT),
    "client-gives-up": program(act(CHAT, 0, LARGE), act(0xc0, 0, LARGE), act(0xc0, 4, 0),
        act(COUNT, 1, SMALL), say(WHOLE, SMALL), act(0xc1, 5, 0), act(UNARY, 0x40, LARGE),
        op(10, 5), ends=AS_CLIENT),
    "client-early": program(act(CHAT, 0, MIDDLE), act(0xc0, 0, PIECE), act(UNARY, 0, LARGE),
        op(0x2f), give(), give(1), end(size=SMALL), ends=AS_CLIENT | WINDOW_OF_1 | UNANSWERED),
    "client-breaks": program(act(UNARY, 0, LARGEST), BREAK, give(), BREAK, give(), BREAK,
        say(PIECE, LARGE), BREAK, go_on(PIECE), BREAK, end(), op(11),
        ends=AS_CLIENT | WITH_SESSION),
    "client-loses-its-session": program(act(LIMITED, 0, SMALL), act(CHAT, 0, SMALL), op(9, 0x88),
        end(size=SMALL), ends=AS_CLIENT | WITH_SESSION),
    "client-drained": program(act(CHAT, 0, SMALL), act(UNARY, 0, SMALL), op(14, 4), end(1),
        end(size=SMALL), ends=AS_CLIENT),
    "client-hello": program(act(UNARY, 0, SMALL), *(hello(how) for how in range(16)), BREAK, hello(3),
        end(size=SMALL), hello=SAYS_HELLO | OFFERS | MANY | HAS_LABELS, ends=AS_CLIENT | WITH_SESSION),
    "client-slow-server": program(act(CHAT, 0, LARGE), act(0xc0, 0, LARGE), *[op(10, 3)] * 4,
        ends=AS_CLIENT | WINDOW_OF_1, patience=1),
}
for n in range(12):
    CONVERSATIONS[f"wrong-{n}"] = program(
        make(CHAT), say(MIDDLE, LARGE), op(0x1d, 0, n), make(UNARY | IN_PIECES, LARGE),
        op(0x1d, 0, n))
    CONVERSATIONS[f"client-wrong-{n}"] = program(
        act(CHAT, 0, SMALL), act(UNARY, 0, SMALL), op(0x1d, 0, n), op(0x1d, 1, n),
        ends=AS_CLIENT)
