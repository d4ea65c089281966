"""The command line: names, options and help. What a command does is imported when it runs, so that help is quick."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from pathlib import Path
from typing import Annotated

import typer

from marchproxy import __version__
from marchproxy.cli import changing, managing
from marchproxy.cli.ai.commands import ai
from marchproxy.cli.look.subject import Subject
from marchproxy.cli.options import DEFAULT_NLB, Json, Nlb

_HELP = """One load balancer for TCP, HTTP, databases, LLM inference and live video.

[bold]Start here[/bold]

  marchproxy demo                                    watch the whole of it work, in half a minute
  marchproxy validate examples/first-light.yaml      check a file, every error with its line
  marchproxy up examples/first-light.yaml            run everything in it on this machine
  marchproxy explain http://127.0.0.1:8000/          where would this request go, and why?
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RUN, LOOK, CHANGE, MANAGE = "Run", "Look", "Change", "With a manager"

File = Annotated[Path, typer.Argument(help="The YAML file; docs/configuration.md describes every key.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="The YAML file.", envvar="MARCHPROXY_FILE")]
Leash = Annotated[int | None, typer.Option("--leash", hidden=True, help="End with this parent process.")]
ModuleId = Annotated[
    str | None, typer.Option("--id", help="Which entry of `modules`; not needed when there is one.")
]
Replica = Annotated[
    int | None, typer.Option("--replica", min=2, max=999, help="A further instance of it, on free ports.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"marchproxy {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=RUN)
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running at the end, with a UI, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Watch it work: real requests through NLB and ALB, a canary, a dead backend, a rate limit. Half a minute.

    Everything runs on free ports of the loopback and is gone at the end. Exit code 1 when a claim does not hold.
    """
    from marchproxy.cli.demo.command import run_demo

    run_demo(keep=keep, as_json=as_json)


@app.command(rich_help_panel=RUN)
def up(
    file: File,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            "--state-dir", help="State, logs and sockets. Default: one per file in the system's state folder."
        ),
    ] = None,
    leash: Leash = None,
) -> None:
    """Run everything in a file on this machine: the NLB, every module and the manager, supervised.

    A process that dies is started again. SIGHUP reads the file again and puts it in force everywhere, or nowhere and
    says why. Ctrl-C drains and stops; a second Ctrl-C kills.
    """
    from marchproxy.cli.up.command import run_up

    run_up(file, state_dir, leash)


@app.command(rich_help_panel=RUN)
def down(
    file: File,
    state_dir: Annotated[
        Path | None, typer.Option("--state-dir", help="As given to `up`. Default: the one that `up` takes.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0,
            help="Seconds before SIGKILL. Default: what the file's drain_seconds add up to.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """End what runs of a file on this machine: its `up`, an `nlb`, `alb`, `dblb`, `ailb`, `rtmp` or `manager` of it
    that was started alone.

    Also what one that was killed left behind: Envoys, workers, modules, the rules in the kernel. Exit code 0 when
    nothing is left.
    """
    from marchproxy.cli.down.command import run_down

    run_down(file, state_dir, timeout, as_json=as_json)


@app.command(rich_help_panel=RUN)
def nlb(config: Config, leash: Leash = None) -> None:
    """Run the NLB of a file: the L4 router that modules register with.

    SIGTERM drains and stops it, SIGHUP reads the file again. Settings can come from the environment:
    MARCHPROXY_NLB__GRPC=0.0.0.0:50050 sets nlb.grpc.
    """
    from marchproxy.cli.failing import warn
    from marchproxy.cli.hints import ignored_variables
    from marchproxy.cli.service import run_nlb

    for hint in ignored_variables():
        warn(hint)
    run_nlb(config, leash)


@app.command(rich_help_panel=RUN)
def alb(config: Config, module_id: ModuleId = None, replica: Replica = None, leash: Leash = None) -> None:
    """Run one ALB of a file: an Envoy for HTTP, and the ModuleService that programs it.

    SIGTERM drains and stops it, SIGHUP reads the file again. $MODULE_ID may name the entry, $NLB_ENDPOINTS
    (host:port, comma-separated) the NLBs to register with.
    """
    from marchproxy.cli.service import Instance, run_alb
    from marchproxy.modules.alb.settings import AlbSettings

    run_alb(Instance(AlbSettings, config, module_id, replica), leash)


@app.command(rich_help_panel=RUN)
def dblb(config: Config, module_id: ModuleId = None, replica: Replica = None, leash: Leash = None) -> None:
    """Run one DBLB of a file: PostgreSQL, MySQL, MongoDB and Redis for many clients over few connections.

    SIGTERM drains and stops it, SIGHUP reads the file again. $MODULE_ID may name the entry, $NLB_ENDPOINTS
    (host:port, comma-separated) the NLBs to register with.
    """
    from marchproxy.cli.service import Instance, run_dblb
    from marchproxy.modules.dblb.settings import DblbSettings

    run_dblb(Instance(DblbSettings, config, module_id, replica), leash)


@app.command(rich_help_panel=RUN)
def ailb(config: Config, module_id: ModuleId = None, replica: Replica = None, leash: Leash = None) -> None:
    """Run one AILB of a file: language models by one API, with keys, limits and budgets, over every provider.

    SIGTERM drains and stops it, SIGHUP reads the file again. $MODULE_ID may name the entry, $NLB_ENDPOINTS
    (host:port, comma-separated) the NLBs to register with.
    """
    from marchproxy.cli.service import Instance, run_ailb
    from marchproxy.modules.ailb.settings import AilbSettings

    run_ailb(Instance(AilbSettings, config, module_id, replica), leash)


@app.command(rich_help_panel=RUN)
def rtmp(config: Config, module_id: ModuleId = None, replica: Replica = None, leash: Leash = None) -> None:
    """Run one RTMP module of a file: live video in, to origins or to players, and packaged as HLS and DASH.

    SIGTERM drains and stops it, SIGHUP reads the file again. $MODULE_ID may name the entry, $NLB_ENDPOINTS
    (host:port, comma-separated) the NLBs to register with.
    """
    from marchproxy.cli.service import Instance, run_rtmp
    from marchproxy.modules.rtmp.settings import RtmpSettings

    run_rtmp(Instance(RtmpSettings, config, module_id, replica), leash)


@app.command(rich_help_panel=RUN)
def manager(config: Config, leash: Leash = None) -> None:
    """Run the manager of a file: the desired state as numbered revisions, its REST API and its web UI.

    The file's desired state is the first revision; later ones are made over the API or in the UI. The first start says
    in which file the password of the first user is. SIGTERM stops it.
    """
    from marchproxy.cli.manager.command import run_manager

    run_manager(config, leash)


@app.command(rich_help_panel=RUN)
def xds(config: Config, leash: Leash = None) -> None:
    """Serve the routes and pools of a file to any Envoy, and to gRPC clients that dial `xds:///name`.

    Nodes are given their part by the section `xds`. The file is read again when it changes, and on SIGHUP; one with
    errors changes nothing. SIGTERM stops it, and clients keep what they hold.
    """
    from marchproxy.cli.xds.command import run_xds

    run_xds(config, leash)


@app.command(rich_help_panel=RUN)
def validate(file: File, as_json: Json = False) -> None:
    """Check a file: every error with its line. Changes nothing, contacts nobody; exit code 1 when it has errors."""
    from marchproxy.cli.validate import run_validate

    run_validate(file, as_json=as_json)


@app.command(rich_help_panel=LOOK)
def get(
    subject: Annotated[Subject, typer.Argument(help="What to list.")],
    nlb: Nlb = DEFAULT_NLB,
    as_json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Again every two seconds, until Ctrl-C.")
    ] = False,
) -> None:
    """List what a running system has: its modules, routes, listeners, limits, scaling, rollouts, traffic, backends."""
    from marchproxy.cli.look.get import show
    from marchproxy.cli.running import run_client

    run_client(lambda: show(nlb, subject, as_json=as_json, every=2.0 if watch else None))


@app.command(rich_help_panel=LOOK)
def explain(
    url: Annotated[
        str,
        typer.Argument(
            help="http://host:port/path, tcp://host:port, or another protocol such as postgres://user@host:port/database "
            "or rtmp://host/app/stream; "
            "the port picks the listener, and what the client says, where several are there."
        ),
    ],
    method: Annotated[str, typer.Option("--method", "-X", help="The request's method.")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help='A header, such as "Host: shop.example".')
    ] = None,
    sni: Annotated[
        str,
        typer.Option("--sni", help="The server name in the TLS hello. Default: the host of an https URL."),
    ] = "",
    client: Annotated[
        str,
        typer.Option(
            "--client", "--source", help="The client's address, for `allow`, `deny`, `sources` and limits."
        ),
    ] = "",
    query: Annotated[str, typer.Option("--query", help="The query string. Default: the URL's.")] = "",
    model: Annotated[
        str, typer.Option("--model", help="The language model that the request would ask for.")
    ] = "",
    nlb: Nlb = DEFAULT_NLB,
    as_json: Json = False,
) -> None:
    """Tell where a request goes and why: listener, module, instance, route, pools, limits.

    Answered from the plan that traffic follows; nothing is sent to a backend. Exit code 1 when nobody would serve it.
    """
    from dataclasses import replace

    from marchproxy.cli.look.explain import explain as find
    from marchproxy.cli.running import run_client
    from marchproxy.contract.fleet.explaining import NotAQuestion, read_question

    try:
        question = read_question(url, method, header or (), sni=sni, client=client, query=query)
    except NotAQuestion as error:
        raise typer.BadParameter(str(error)) from error
    question = replace(question, model=model)
    if not run_client(lambda: find(nlb, question, as_json=as_json)):
        raise typer.Exit(1)


app.add_typer(ai, name="ai", rich_help_panel=LOOK)
app.add_typer(changing.settings, name="set", rich_help_panel=CHANGE)
managing.add_to(app, MANAGE)
