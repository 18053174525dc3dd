"""What an error answer says: code, message and request id, in whichever shape the layer that refused uses. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from oauth_helper.servicestage.answer import Answer, page_title, parse_json

# API Gateway and ServiceStage write error_code and error_msg; the engine APIs, the configuration APIs and the image
# registry write the other spellings; IAM nests code and message in an object "error".
_CODE_FIELDS: Final = ("error_code", "errorCode", "code")
_MESSAGE_FIELDS: Final = ("error_msg", "errorMsg", "errorMessage", "error_message", "message")
_REQUEST_ID_FIELDS: Final = ("request_id", "requestId")
_DEEPEST: Final = 4


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer says; provider text, presentable, without any secret of ours."""

    code: str
    """Such as ``SVCSTG.REPO.0402``; the HTTP status where the body has none, as in the vendor's SDK."""
    message: str
    """One line of any length: cut it where it is shown."""
    request_id: str | None


def read_error_body(answer: Answer) -> ErrorBody:
    """Read an error answer of any shape; what is no JSON object with a code or a message is itself the message."""
    objects = tuple(_objects(_document(answer), _DEEPEST))
    chosen = _most_telling(objects)
    message = _field(chosen, _MESSAGE_FIELDS) if chosen else _text(answer)
    request_id = next(filter(None, (_field(each, _REQUEST_ID_FIELDS) for each in objects)), "")
    return ErrorBody(
        code=answer.shown(_field(chosen, _CODE_FIELDS), limit=64) or str(answer.status),
        message=answer.shown(message, limit=max(len(message), 1)),
        request_id=answer.shown(request_id, limit=64) or answer.request_id,
    )


def _objects(document: object, depth: int) -> Iterator[Mapping[str, object]]:
    """Give every object in ``document``, an outer one before those within it."""
    if isinstance(document, dict):
        yield document
    if depth and isinstance(document, dict | list):
        for child in document.values() if isinstance(document, dict) else document:
            yield from _objects(child, depth - 1)


def _most_telling(objects: Collection[Mapping[str, object]]) -> Mapping[str, object]:
    telling = [each for each in objects if _field(each, _CODE_FIELDS) or _field(each, _MESSAGE_FIELDS)]
    whole = [each for each in telling if _field(each, _CODE_FIELDS) and _field(each, _MESSAGE_FIELDS)]
    return next(iter(whole + telling), {})


def _field(record: Mapping[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def _text(answer: Answer) -> str:
    title = page_title(answer.text)
    return answer.text if title is None else title or "a web page"


def _document(answer: Answer) -> object:
    for body in (answer.body, answer.text.encode(errors="replace")):
        try:
            return parse_json(body)
        except ValueError:
            continue
    return None
