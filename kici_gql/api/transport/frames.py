"""WebSocket text messages written by hand (RFC 6455, RFC 7692): what stands in front differs, the page is the same for all.

Compressed, such a message is one raw deflate stream: a *stored* block, which is plain text with five bytes in front of it,
and behind it the blocks that were compressed once for everybody. That works where no message refers back into the one
before (`server_no_context_takeover`), which also frees both sides of keeping a window for each socket.
"""

import zlib
from functools import lru_cache

from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory

WINDOW_BITS = 12
"""4 KiB: events repeat what the one before said, and that is not further away."""

_LEVEL = 1
_KEPT_TAILS = 32
_SYNC_MARK = b"\x00\x00\xff\xff"  # ends each message and is left out of it


def offer() -> ServerPerMessageDeflateFactory:
    """What we answer a client that offers permessage-deflate."""
    return ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=WINDOW_BITS,
        compress_settings={"level": _LEVEL},
    )


def takes_shared(extensions: list[Extension]) -> bool:
    """Whether a socket with these extensions can be sent what was compressed for all.

    One that insists on a smaller window can't; it gets its pages uncompressed, which is always allowed.
    """
    return any(
        isinstance(each, PerMessageDeflate) and each.local_max_window_bits >= WINDOW_BITS
        for each in extensions
    )


def text_frame(*parts: bytes, deflated: bool = False) -> bytes:
    """A whole unmasked text message; with `deflated`, the parts are blocks of one deflate stream."""
    first = 0xC1 if deflated else 0x81
    size = sum(map(len, parts))
    if size < 126:
        head = bytes((first, size))
    elif size < 65_536:
        head = bytes((first, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 127)) + size.to_bytes(8, "big")
    return b"".join((head, *parts))


def stored(text: bytes) -> bytes:
    """A deflate block that holds its text as it is; 65 535 bytes at most. It ends on a byte, so another may follow."""
    return b"\x00" + len(text).to_bytes(2, "little") + (len(text) ^ 0xFFFF).to_bytes(2, "little") + text


@lru_cache(_KEPT_TAILS)
def deflated_tail(payload: bytes) -> bytes:
    """The blocks that hold an encoded answer and the `}` behind it. Readers of a page come shortly after each other."""
    compressor = zlib.compressobj(_LEVEL, wbits=-WINDOW_BITS)
    blocks = compressor.compress(payload) + compressor.compress(b"}") + compressor.flush(zlib.Z_SYNC_FLUSH)
    return blocks.removesuffix(_SYNC_MARK)
