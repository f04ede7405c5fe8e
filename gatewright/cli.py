"""The command line. Every import of ours is inside the command that needs it, so that `--help` is quick.

A command is a function from its parsed arguments to an exit status. Errors of ours end in one message and status 1, a
wrong command line in argparse's message and status 2, Ctrl-C in status 130.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from gatewright._version import __version__

if TYPE_CHECKING:
    from gatewright.harness.subject import Subject

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What ``add_subparsers`` gives; argparse has no public name for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments, without the program's name; those of the process by default.

    Returns:
        The exit status.

    Raises:
        SystemExit: by argparse, for ``--help``, ``--version`` and a wrong command line.
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()  # here, where it is known what to do when nobody reads any more
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read this has gone, and wants no message. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not _is_expected(error):
            raise
        print(f"gatewright: {error}", file=sys.stderr)
        return 1
    return status


def _is_expected(error: Exception) -> bool:
    """Whether an error speaks for itself; anything else is a defect of ours, whose traceback is wanted."""
    from gatewright.spec.errors import GatewrightError

    return isinstance(error, (GatewrightError, OSError))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gatewright",
        description="An explicit state-machine engine for the Discord gateway.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_check(commands)
    _add_conform(commands)
    _add_demo(commands)
    _add_diagram(commands)
    _add_export(commands)
    _add_fake(commands)
    _add_info(commands)
    _add_run(commands)
    return parser


# -- check, export: of which table -----------------------------------------------------------------------------------


def _ask_for_a_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "table",
        nargs="?",
        metavar="PATH.TO:TABLE",
        help="a Table, a Subject, or a function that gives one; the shipped table by default",
    )
    parser.add_argument(
        "--environment", metavar="PATH.TO:ENVIRONMENT", help="of a Table; ENVIRONMENT beside the table by default"
    )
    parser.add_argument(
        "--bound", action="append", default=[], metavar="NAME=N", help="the first value of a variable, such as faults=1"
    )


def _subject(arguments: argparse.Namespace) -> Subject:
    from gatewright.harness import subject

    return subject.shipped() if arguments.table is None else subject.load(arguments.table, arguments.environment)


# -- check -------------------------------------------------------------------------------------------------------------


def _add_check(commands: _Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="prove the table: lint, every state, mutants, and the same by Spin; for a table of yours, too",
        description="Runs the layers L0 to L3 of docs/proof.md on the shipped table, or on yours. The exit status is 0 "
        "only if everything holds. The shipped table takes a few minutes.",
    )
    _ask_for_a_table(parser)
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--mutants", default="100", metavar="N", help="how many are drawn (100), or all")
    some.add_argument("--no-mutants", action="store_true", help="leave out L2")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="draws the mutants; 1 by default")
    parser.add_argument(
        "--least-score",
        type=_part,
        default=1.0,
        metavar="X",
        help="the part of the mutants to be noticed, of those that may not survive for a reason; 1 by default",
    )
    independent = parser.add_mutually_exclusive_group()
    independent.add_argument("--no-spin", action="store_true", help="leave out L3")
    independent.add_argument(
        "--spin-mutants", type=_count, default=0, metavar="N", help="how many mutants Spin judges, too; 0 by default"
    )
    parser.add_argument(
        "--counterexample",
        choices=("text", "mermaid", "pytest", "example", "journal"),
        default="text",
        metavar="FORM",
        help="how what does not hold is written: text (the default), mermaid, pytest (a test to paste), example (of "
        "Hypothesis) or journal",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_check)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a number from 0")
    return int(text)


def _part(text: str) -> float:
    try:
        part = float(text)
    except ValueError:
        part = -1.0
    if not 0.0 <= part <= 1.0:  # nor what is no number
        raise argparse.ArgumentTypeError(f"{text!r} is no part; give a number from 0 to 1, such as 0.95")
    return part


def _check(arguments: argparse.Namespace) -> int:
    from gatewright.harness import check, forms

    subject = _subject(arguments)
    drawn = 0 if arguments.no_mutants else check.parse_mutants(arguments.mutants)
    options = check.Options(
        values=check.parse_values(arguments.bound),
        mutants=drawn,
        seed=arguments.seed,
        spin=not arguments.no_spin,
        spin_mutants=arguments.spin_mutants,
        least_score=arguments.least_score,
        json=arguments.json,
        told=forms.printer(arguments.counterexample, subject, arguments.table, arguments.environment),
    )
    return check.run(subject, options)


# -- conform -----------------------------------------------------------------------------------------------------------


def _add_conform(commands: _Commands) -> None:
    parser = commands.add_parser(
        "conform",
        help="hold the journal of a shard against the explored graph, and name the first step that does not conform",
        description="Reads a journal, one JSON object a line (what `gatewright run --json` prints, or what "
        "gatewright.harness.conform.dump writes), and follows it through the graph of all that a shard can do. The "
        "exit status is 0 only if every step conforms.",
    )
    parser.add_argument("journal", metavar="JOURNAL.JSONL", help="the file; - for standard input")
    parser.add_argument(
        "--gaps",
        action="store_true",
        help="steps that stay in their state may be missing; assumed of a journal that has none of them",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_conform)


def _conform(arguments: argparse.Namespace) -> int:
    import contextlib
    from pathlib import Path

    from gatewright.harness import conform

    gaps = True if arguments.gaps else None
    with contextlib.ExitStack() as stack:
        name = arguments.journal
        lines = (
            sys.stdin if name == "-" else stack.enter_context(Path(name).open(encoding="utf-8-sig", errors="replace"))
        )
        found = conform.conform(lines, gaps=gaps)
    if arguments.json:
        import json

        print(json.dumps(found.as_dict()))
    else:
        print(conform.told(found))
    return 0 if found.ok else 1


# -- demo --------------------------------------------------------------------------------------------------------------


def _add_demo(commands: _Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="the race that hangs other clients, and a tour of faults, against a fake gateway on this machine",
        description="Plays a race against a naive client and then a tour of faults, about 20 s in all, with fake "
        "gateways on free ports of this machine; nothing leaves it and no token is needed. The exit status is 0 only "
        "if everything that is promised was seen, in the servers' own logs.",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the journal as one JSON object a line, and a summary"
    )
    parser.add_argument("--plain", action="store_true", help="print lines of text instead of drawing")
    parser.add_argument("--sabotage", metavar="NAME", help=argparse.SUPPRESS)
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from gatewright.harness.demo import program

    return program.run(json=arguments.json, plain=arguments.plain, sabotage=arguments.sabotage)


# -- diagram -----------------------------------------------------------------------------------------------------------

_VIEWS = "overview (the default), start-up, handshake, session, leaving, matrix, states or references"
"""What the help says. The table would have to be loaded to ask it, and a test does."""


def _add_diagram(commands: _Commands) -> None:
    parser = commands.add_parser(
        "diagram",
        help="drawings of the state machine and pages about it, made from the table that runs",
        description="Prints a drawing or a page that is made from the table, so that it shows what runs.",
    )
    parser.add_argument("--view", default="overview", metavar="VIEW", help=_VIEWS)
    parser.add_argument(
        "--format",
        choices=("mermaid", "markdown"),
        help="mermaid for a bare drawing, markdown for a page that GitHub draws; by default what the view allows",
    )
    parser.add_argument("--output", metavar="PATH", help="write to a file instead of standard output")
    parser.set_defaults(run=_diagram)


def _diagram(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from gatewright.diagrams.export import DRAWINGS, render

    text = render(arguments.format or ("mermaid" if arguments.view in DRAWINGS else "markdown"), arguments.view)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        Path(arguments.output).write_text(text, encoding="utf-8", newline="\n")
    return 0


# -- export ------------------------------------------------------------------------------------------------------------


def _add_export(commands: _Commands) -> None:
    parser = commands.add_parser(
        "export",
        help="the table as a model for Spin or TLC; for a table of yours, too",
        description="Writes the shipped table, or yours, with its environment and its properties as a model in another "
        "language: Promela for Spin, TLA+ for TLC.",
    )
    parser.add_argument("language", choices=("promela", "tla"), help="the language")
    _ask_for_a_table(parser)
    parser.add_argument(
        "--output", metavar="PATH", help="write to a file; beside NAME.tla, NAME.cfg says what TLC is to check"
    )
    parser.add_argument(
        "--eventually",
        metavar="ID",
        help="in Promela: instead of states and steps, what must come to pass, by the id or the name of the property",
    )
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from gatewright.harness import check
    from gatewright.harness.export import command

    return command.run(
        _subject(arguments),
        arguments.language,
        values=check.parse_values(arguments.bound),
        output=None if arguments.output is None else Path(arguments.output),
        eventually=arguments.eventually,
    )


# -- fake --------------------------------------------------------------------------------------------------------------


def _add_fake(commands: _Commands) -> None:
    parser = commands.add_parser(
        "fake",
        help="a fake gateway on this machine, for a bot in any language",
        description="Serves Discord's gateway and what of its HTTP API a bot asks for at its start, until Ctrl-C. A "
        "script says what goes wrong; docs/fake-gateway.md has its vocabulary.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="the port; a free one by default")
    parser.add_argument("--script", metavar="PATH", help="what goes wrong, as JSON or TOML")
    parser.add_argument("--seed", type=int, help="add twenty connections with random faults; the seed brings them back")
    parser.add_argument("--token", help="the token that bots must show (default: fake.token)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=_fake)


def _port(text: str) -> int:
    # The system takes larger ones modulo 65536, and listens where nobody looks.
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0, for a free one, to 65535")
    return int(text)


def _fake(arguments: argparse.Namespace) -> int:
    from gatewright.harness.fake import serving

    return serving.run(
        host=arguments.host,
        port=arguments.port,
        path=arguments.script,
        seed=arguments.seed,
        token=arguments.token,
        json=arguments.json,
    )


# -- info --------------------------------------------------------------------------------------------------------------

_DEPENDENCIES = (
    "attrs",
    "httpx2",
    "msgspec",
    "rich",
    "transitions",
    "trio",
    "trio-websocket",
    "wsproto",
)


def _add_info(commands: _Commands) -> None:
    parser = commands.add_parser(
        "info",
        help="versions, for a bug report",
        description="Prints the versions that matter for a bug report: no environment, no paths, no token.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> int:
    versions = _versions()
    if arguments.json:
        import json

        print(json.dumps(versions))
        return 0
    width = max(map(len, versions))
    for name, version in versions.items():
        print(f"{name:<{width}}  {version or 'not installed'}")
    return 0


def _versions() -> dict[str, str | None]:
    import platform
    import ssl
    from importlib.metadata import PackageNotFoundError, version

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {
        "gatewright": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "OpenSSL": ssl.OPENSSL_VERSION,
        **{name: installed(name) for name in _DEPENDENCIES},
    }


# -- run ---------------------------------------------------------------------------------------------------------------

_STATUSES = """exit statuses:
  0    stopped by SIGTERM
  1    another error, such as a session file that cannot be read
  2    the command line, DISCORD_TOKEN or a URL cannot be used
  3    the token was refused (4004, or 401 and 403 of the metadata)
  4    an intent is not enabled for the application (4014)
  5    the identify budget is spent (not with --wait)
  6    the shard failed for another reason (4010 to 4013, ...)
  130  stopped by Ctrl-C
"""


def _add_run(commands: _Commands) -> None:
    parser = commands.add_parser(
        "run",
        help="connect a shard, and print its states and the names of its events",
        description="Connects one shard with the token in DISCORD_TOKEN, prints its states and the names of its\n"
        "events, and stops in order at Ctrl-C or SIGTERM.",
        epilog=_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--gateway-url", metavar="URL", help="connect there, such as ws://127.0.0.1:8080; no metadata")
    where.add_argument("--api-url", metavar="URL", help="ask this HTTP API for the metadata instead of Discord's")
    parser.add_argument(
        "--intents",
        default="unprivileged",
        metavar="NAMES",
        help="names separated by commas, a number, or one of unprivileged (the default), privileged, all, none",
    )
    parser.add_argument("--shard", default="0/1", metavar="ID/COUNT", help="the shard pair; 0/1 by default")
    parser.add_argument(
        "--compress",
        choices=("none", "zlib-stream", "zstd-stream", "payload"),
        default="none",
        help="how the gateway compresses; zstd-stream needs gatewright[zstd] before Python 3.14",
    )
    parser.add_argument(
        "--events", default="*", metavar="NAMES", help="which events to print, such as READY,MESSAGE_*; all by default"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, and a summary")
    parser.add_argument("--wait", action="store_true", help="when the identify budget is spent, wait for the next one")
    parser.add_argument(
        "--session", metavar="FILE", help="resume the session in this file, and keep it there, also when stopped"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="what goes to standard error; warning by default",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from gatewright import run
    from gatewright.spec.errors import ConfigurationError

    try:
        shard_id, shard_count = run.parse_shard(arguments.shard)
        intents = run.parse_intents(arguments.intents)
    except ConfigurationError as error:
        print(f"gatewright run: {error}", file=sys.stderr)
        return int(run.Status.USAGE)
    return int(
        run.run(
            run.Options(
                intents=intents,
                gateway_url=arguments.gateway_url,
                api_url=arguments.api_url,
                shard_id=shard_id,
                shard_count=shard_count,
                compress=arguments.compress,
                events=tuple(part.strip() for part in arguments.events.split(",")),
                json=arguments.json,
                wait=arguments.wait,
                session=None if arguments.session is None else Path(arguments.session),
                log_level=arguments.log_level.upper(),
            )
        )
    )
