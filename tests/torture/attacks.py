"""Every hostile case, by the name it has in the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

from torture import forgeries, other_requests, silence
from torture.attacker import Attacker
from torture.callback import Callback


class Moment(Enum):
    """When the hostile traffic comes."""

    BEFORE = auto()
    """Before the genuine redirect; what it opens stays open."""
    AFTER = auto()
    """Once the genuine redirect is answered."""
    THREE_GENUINE = auto()
    """There is none: the genuine redirect itself comes three times at once."""


@dataclass(frozen=True)
class Attack:
    """One row of the table."""

    name: str
    run: Callable[[Attacker], Awaitable[None]]
    moment: Moment = Moment.BEFORE
    is_loud: bool = False
    """Whether it needs the machine for itself."""
    is_hostile: bool = True
    only_ip_literal: bool = False
    """Whether it is hostile only where the redirect URI says 127.0.0.1."""
    needs_earlier: bool = False

    def applies(self, callback: Callback) -> bool:
        """Whether this is hostile there at all."""
        return not (self.only_ip_literal and callback.authority.startswith("localhost"))


async def _nothing(_: Attacker) -> None:
    """No attack."""


ATTACKS = (
    Attack("no attack", _nothing, is_hostile=False),
    Attack("favicon first", other_requests.favicon),
    Attack("one silent connection", silence.one_silent),
    Attack("six silent connections", silence.six_silent),
    Attack("500 silent connections", silence.many_silent, is_loud=True),
    Attack("half a request line", silence.half_a_request_line),
    Attack("slow headers, a byte every 0.8 s", silence.slow_headers),
    Attack("forged `error`", forgeries.forged_error),
    Attack("forged code", forgeries.forged_code),
    Attack("wrong state, 10,000 times", forgeries.wrong_state_at_full_speed, is_loud=True),
    Attack("HEAD", other_requests.head),
    Attack("OPTIONS", other_requests.options),
    Attack("POST (where POST is genuine: GET)", other_requests.post),
    Attack("PUT", other_requests.put),
    Attack("TLS hello", silence.tls_hello),
    Attack("foreign Host", other_requests.foreign_host),
    Attack("`localhost` Host", other_requests.localhost_host, only_ip_literal=True),
    Attack("missing Host", other_requests.missing_host),
    Attack("absolute-form target", other_requests.absolute_form),
    Attack("cross-site Origin", other_requests.cross_site_origin),
    Attack("an image's request", other_requests.image),
    Attack("a frame's request", other_requests.frame),
    Attack("prefetch", other_requests.prefetch),
    Attack("wrong path", other_requests.wrong_path),
    Attack("duplicated parameters", forgeries.duplicated_parameters),
    Attack("100 KB query", other_requests.long_query),
    Attack("1 MB body", other_requests.long_body),
    Attack("chunked body", other_requests.chunked),
    Attack("gzip bomb", other_requests.gzip_bomb),
    Attack("three genuine at once", _nothing, Moment.THREE_GENUINE),
    Attack("callback of an earlier attempt", forgeries.earlier_attempt, needs_earlier=True),
    Attack("callback after the end", forgeries.after_the_end, Moment.AFTER),
    Attack("CRLF in every provider field", forgeries.line_break_in_each_field),
    Attack("script in every provider field", forgeries.script_in_each_field),
    Attack("escape codes in every provider field", forgeries.escape_codes_in_each_field),
    Attack("100 KB in every provider field", forgeries.long_text_in_each_field),
)
