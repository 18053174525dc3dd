"""A Chinese environment, and what is left in English in it."""

import re
from typing import Final

CHINESE: Final = {"LANG": "zh_CN.UTF-8"}
ENGLISH_WORDS: Final = re.compile(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b")
"""Three words in a row are no name, value or option: a message that is not translated."""
