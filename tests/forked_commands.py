"""Old name of :meth:`support.command_runner.CommandRunner.run_forked`, for tests that have not moved yet."""

from collections.abc import Mapping

from support.command_runner import CommandRunner, Ended


async def run_command(*arguments: str, environ: Mapping[str, str], given: str | bytes | None = None) -> Ended:
    return await CommandRunner.current().run_forked(*arguments, environ=environ, given=given)
