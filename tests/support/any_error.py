"""Every class of errors, and errors with any arguments."""

import inspect

from hypothesis import strategies as st

from oauth_helper import errors
from oauth_helper.errors import OAuthHelperError
from oauth_helper.i18n import Text

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
CLASSES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, OAuthHelperError)]
BY_NAME = {
    "sent": st.booleans(),
    "status": st.none() | st.integers(100, 599),
    "signal_number": st.sampled_from([1, 2, 15]),
    "retry_after": st.none() | st.floats(0, 60),
    "is_transient": st.booleans(),
    "nothing_created": st.booleans(),
}


@st.composite
def errors_of(draw: st.DrawFn, error_class: type[OAuthHelperError], texts: st.SearchStrategy[str]) -> OAuthHelperError:
    """An error of this class as its constructor makes it, with every argument that it takes."""
    given_to: dict[str, object] = {}
    for name, parameter in inspect.signature(error_class).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            given_to |= {each: draw(st.none() | texts) for each in ("hint", "code", "request_id")}
        else:
            is_optional = parameter.default is None
            given_to[name] = draw(BY_NAME.get(name, st.none() | texts if is_optional else texts))
    words = {"message", "hint", "answered_by"} & given_to.keys()
    given_to |= {name: Text(str(given_to[name])) for name in words if given_to[name] is not None}
    return error_class(**given_to)  # type: ignore[arg-type]  # what the signature itself names
