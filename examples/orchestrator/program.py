"""The command line of ``local_orchestrator.py``."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from orchestrator.client import Refused, TokenRefused, websocket_url
from orchestrator.definitions import BadDefinition
from orchestrator.orchestrator import Config, Orchestrator
from orchestrator.scaler import BareMetalScaler
from orchestrator.settings import BadSettings
from orchestrator.state import StateDirectory, StateError

EXIT_UNUSABLE = 2
"""Exit status: the command line, the environment or the state directory can't be used."""
EXIT_REFUSED = 3
"""Exit status: the server refuses the token or what this orchestrator says about itself."""

log = logging.getLogger("orchestrator")


def main(arguments: list[str] | None = None) -> int:
    """Run an orchestrator until SIGTERM or SIGINT. Answers the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    token = options.token or os.environ.get("KICI_GQL_TOKEN", "")
    if not token:
        parser.error("a token with scope 'orchestrator' is needed: set KICI_GQL_TOKEN")
    try:
        websocket_url(options.url)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("gql").setLevel(logging.WARNING)
    return _guarded(options, token)


def _guarded(options: argparse.Namespace, token: str) -> int:
    state = StateDirectory(options.state_dir)
    try:
        state.lock()
        asyncio.run(_run(options, token, state))
    except StateError as error:
        return _fail(EXIT_UNUSABLE, str(error))
    except BadSettings as error:
        return _fail(EXIT_UNUSABLE, str(error))
    except (BadDefinition, OSError) as error:
        return _fail(EXIT_UNUSABLE, f"{options.workflows}: {error}")
    except TokenRefused as error:
        return _fail(EXIT_REFUSED, f"the server does not accept the token: {error}")
    except Refused as error:
        return _fail(EXIT_REFUSED, f"the server refuses this orchestrator: {error}")
    finally:
        state.release()
    return 0


async def _run(options: argparse.Namespace, token: str, state: StateDirectory) -> None:
    names = state.load()
    instance_id = options.instance_id or names.instance_id
    if options.cluster and names.cluster_name and options.cluster != names.cluster_name:
        log.warning(
            "--cluster %s is ignored: this orchestrator belongs to cluster %s (see %s)",
            options.cluster, names.cluster_name, state.file,
        )  # fmt: skip
    scaler = BareMetalScaler(
        "bare-metal",
        agent_ids(instance_id, options.agents),
        max_agents=options.max_agents or options.agents,
        restart_after_seconds=options.restart_after,
        max_concurrency=options.concurrency,
    )
    config = Config(options.url, token, options.cluster, instance_id, options.interval)
    orchestrator = Orchestrator(config, scaler, state, options.workflows, settings=options.settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, orchestrator.stop, f"stopped by {number.name}")
    if options.until_eof:
        loop.add_reader(sys.stdin.fileno(), _stop_at_eof, orchestrator)
    await orchestrator.run()


def _stop_at_eof(orchestrator: Orchestrator) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        orchestrator.stop("stopped with the program that started it")


def agent_ids(instance_id: str, count: int) -> list[str]:
    """Names of the agents: unique among orchestrators, the same after every restart, short for a random instance id."""
    short = (
        instance_id[:8] if len(instance_id) == len("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") else instance_id
    )
    return [f"{short}-agent-{number}" for number in range(1, count + 1)]


def _fail(status: int, message: str) -> int:
    print(f"local_orchestrator: {message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local_orchestrator",
        description="An orchestrator that runs agents on this machine and reports them to a kici_gql server.",
    )
    add = parser.add_argument
    add(
        "--url",
        default=os.environ.get("KICI_GQL_URL", "http://127.0.0.1:8080"),
        help="the server (%(default)s)",
    )
    add("--token", help="better: environment variable KICI_GQL_TOKEN, which `ps` doesn't show")
    add("--cluster", help="cluster to join at the first start; without it the server invents a name")
    add(
        "--instance-id",
        help="name of this orchestrator; without it a random one, remembered in the state directory",
    )
    add("--agents", type=_count, default=3, metavar="N", help="agents to keep running (%(default)s)")
    add(
        "--max-agents",
        type=_count,
        metavar="N",
        help="most agents the scaler says it could run (as --agents)",
    )
    add("--concurrency", type=_count, default=1, metavar="N", help="jobs an agent runs at once (%(default)s)")
    add(
        "--workflows",
        type=Path,
        default=Path(__file__).parent.parent / "workflows.toml",
        metavar="FILE",
        help="the workflows it offers (%(default)s)",
    )
    add(
        "--settings",
        type=Path,
        metavar="FILE",
        help="environments, secret backends and what users may do from outside, as in examples/settings.toml",
    )
    add("--restart-after", type=_seconds, default=240.0, metavar="SECONDS",
        help="silence after which an agent is replaced (%(default)s); more than the server's lost_after_seconds, "
        "if you want to see one lost")  # fmt: skip
    add("--interval", type=_seconds, metavar="SECONDS", help="heartbeat interval, instead of the server's")
    add(
        "--state-dir",
        type=Path,
        default=_default_state_dir(),
        help="where it remembers its names (%(default)s)",
    )
    add("--until-eof", action="store_true",
        help="stop when standard input ends: for a program that starts this one through a pipe")  # fmt: skip
    add("--log-level", default="info", choices=["debug", "info", "warning", "error"], help="(%(default)s)")
    return parser


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "kici-gql" / "orchestrator"


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError("must be between 1 and 1000")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0.05 <= number <= 86400:
        raise argparse.ArgumentTypeError("must be between 0.05 and 86400 seconds")
    return number
