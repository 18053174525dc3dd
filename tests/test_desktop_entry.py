"""What a desktop entry starts."""

import pytest
from paper_machine import desktop_entry

from oauth_helper.browsers.discovery import started_by


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/usr/bin/chromium %U", ["/usr/bin/chromium"]),
        ("firefox --new-window %u", ["firefox", "--new-window"]),
        ('"/opt/My Browser/chrome" %U', ["/opt/My Browser/chrome"]),
        (r'"/opt/it costs \\$5/chrome" "\\`" "\\"" "\\\\"', ["/opt/it costs $5/chrome", "`", '"', "\\"]),
        (r"/opt/a\sb", ["/opt/a", "b"]),
        ("chrome --title=%c --percent=5%% %i", ["chrome", "--title=%c", "--percent=5%"]),
        ("env A=1 B_2= /snap/bin/firefox %u", ["/snap/bin/firefox"]),
        ("/usr/bin/env -i -u HOME --unset LANG --chdir=/ A=1 firefox A=1", ["firefox", "A=1"]),
        ("env", []),
        ("firefox 'unmatched", []),
        ("", []),
    ],
)
def test_the_exec_of_a_desktop_entry_is_read_as_the_desktop_reads_it(command: str, words: list[str]) -> None:
    assert started_by(desktop_entry(command)) == words


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "\x7fELF",
        "Exec=firefox",
        "[Desktop Entry]\nName=Firefox\n[Desktop Action new]\nExec=firefox --new\n",
        "[Desktop Entry]\nTryExec=firefox\nExecutable=firefox\n",
    ],
)
def test_an_entry_that_starts_nothing_is_empty(entry: str) -> None:
    assert started_by(entry) == []
