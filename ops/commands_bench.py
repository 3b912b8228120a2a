"""Commands that measure: each prints its figures, the machine, and a ratio against a peer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.options import Json

LEAST_ROWS, MOST_ROWS = 10, 10_000_000

bench_app = typer.Typer(no_args_is_help=True, help="Measure, beside a peer.")


@bench_app.callback()
def bench_group() -> None:
    """Measure, beside a peer."""


@bench_app.command()
def train(
    sizes: Annotated[
        str, typer.Option(metavar="N,…", help="How many completions the histories have.")
    ] = "700,7000,46000,1000000",
    repeats: Annotated[
        int, typer.Option(min=1, help="Warm rebuilds a size, each of five completions more.")
    ] = 5,
    peer_epochs: Annotated[
        int, typer.Option(min=2, help="Epochs of the peer that are run; the rest follow from them.")
    ] = 2,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Columns as for `import`; sizes beyond it, or all "
                     "of them without it, are simulated."),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Seconds per rebuild of both models, warm and cold, over sizes of history.

    A rebuild is everything between a train-request and its publication: reading the version that
    serves, selecting rows, fitting, scoring, writing the files. Each size runs in a process of its
    own. With a database configured the rows are selected there, from a temporary table.

    The peer trains one network per target on every learner's padded prefixes, as in the system that
    Retrace replaces: on 700 rows, for 20 epochs.
    """
    from benchmarks import train as command

    command.run(command.Asked(_sizes(sizes), repeats, peer_epochs, data), as_json=as_json)


@bench_app.command()
def ingest(
    events: Annotated[
        int, typer.Option(min=100, max=MOST_ROWS, help="Completions that are read.")
    ] = 1_000_000,
    learners: Annotated[int, typer.Option(min=1, max=99_999, help="Whose they are.")] = 10_000,
    workers: Annotated[
        str, typer.Option(metavar="N,…", help="How many streams workers share them.")
    ] = "1,2",
    partitions: Annotated[
        str, typer.Option(metavar="N,…", help="Partitions of task-completed; peers use the first.")
    ] = "6",
    stored: Annotated[
        str, typer.Option(metavar="N,…", help="Completions that the store holds beforehand.")
    ] = "0",
    rate: Annotated[
        float, typer.Option(min=1, max=100_000, help="Completions a second for the latency.")
    ] = 2000,
    seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="How long at that rate; 0: no latency.")
    ] = 30,
    peer_events: Annotated[
        int, typer.Option(min=0, max=MOST_ROWS, help="Completions for peers; 0: no peers.")
    ] = 200_000,
    slow_events: Annotated[
        int, typer.Option(min=100, max=MOST_ROWS, help="For the peer that takes one at a time.")
    ] = 20_000,
    as_json: Json = False,
) -> None:
    """Events a second from task-completed to stored and counted, and the time that each takes.

    Real workers on a Kafka and PostgreSQL of the benchmark's own, unless RETRACE_KAFKA_BOOTSTRAP
    and RETRACE_DATABASE_URL name others; there, too, it keeps to topics and a database of its own,
    and removes them. Every combination of --stored, --partitions and --workers is a row.

    Peers write the same rows: a plain Faust agent, an event a transaction; Quix Streams, in an
    environment of its own that the first run makes; a bare loop in batches, the limit.
    """
    from benchmarks import ingest as command

    asked = command.Asked(
        events, learners, _numbers("workers", workers, 1, 16),
        _numbers("partitions", partitions, 1, 1000), _numbers("stored", stored, 0, 100_000_000),
        rate, seconds, peer_events, slow_events,
    )  # fmt: skip
    command.run(asked, as_json=as_json)


@bench_app.command()
def predict(
    rates: Annotated[str, typer.Option(metavar="N,…", help="Requests a second.")] = "50,200,500",
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="How long at each rate.")
    ] = 30,
    learners: Annotated[int, typer.Option(min=1, max=99_999, help="Who is asked about.")] = 5000,
    longest: Annotated[
        int, typer.Option(min=0, max=100_000, help="Histories have 0 to so many tasks.")
    ] = 1000,
    training_rate: Annotated[
        float, typer.Option(min=0, max=10_000, help="Requests a second while trainings run; 0: no.")
    ] = 200,
    saturation: Annotated[
        int, typer.Option(min=100, max=MOST_ROWS, help="Requests at once, for the throughput.")
    ] = 10_000,
    keras_requests: Annotated[
        int, typer.Option(min=3, max=10_000, help="Requests to the Keras peer.")
    ] = 30,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Milliseconds from a request's due time to its answer, idle and while trainings run.

    A real trainer and a real inference on servers as for `bench ingest`. At each rate twice: about
    anyone, nothing being newer, and about who completed a task a second before. In an open loop:
    a request is due when the schedule says, whatever became of those before it.

    Peers: a bare echo over the same topics at the same rates, and the Keras models of the system
    that Retrace replaces over whole histories.
    """
    from benchmarks import predict as command

    asked = command.Asked(
        _numbers("rates", rates, 1, 10_000), seconds, learners, longest, training_rate, saturation,
        keras_requests,
    )  # fmt: skip
    command.run(asked, as_json=as_json)


@bench_app.command()
def freshness(
    completions: Annotated[
        int, typer.Option(min=50, max=100_000, help="How many are learned beforehand.")
    ] = 700,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Fives that follow.")] = 20,
    peer_epochs: Annotated[
        int, typer.Option(min=2, help="Epochs of the peer that are run; the rest follow from them.")
    ] = 2,
    as_json: Json = False,
) -> None:
    """Seconds from the fifth completion published to the first prediction that has learned it.

    Real streams, trainer and inference on servers as for `bench ingest`. The peer is the training
    of the system that Retrace replaces, on as many completions.
    """
    from benchmarks import freshness as command

    command.run(command.Asked(completions, repeats, peer_epochs), as_json=as_json)


@bench_app.command()
def pages(
    viewers: Annotated[int, typer.Option(min=1, max=1000, help="Live pages that are open.")] = 100,
    posts: Annotated[
        float, typer.Option(min=1, max=1000, help="Tasks asked for a second, over HTTP.")
    ] = 50,
    rate: Annotated[
        float, typer.Option(min=1, max=10_000, help="Predictions a second, over Kafka.")
    ] = 150,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long, each time.")] = 20,
    learners: Annotated[int, typer.Option(min=50, max=99_999, help="Who is asked about.")] = 1000,
    longest: Annotated[
        int, typer.Option(min=0, max=100_000, help="Histories have 0 to so many tasks.")
    ] = 40,
    as_json: Json = False,
) -> None:
    """What live viewers cost: milliseconds of a POST with nobody, viewers, and hidden tabs.

    All four services on servers as for `bench ingest`. The peer is the same load while nobody
    looks; hidden tabs should cost nothing.
    """
    from benchmarks import pages as command

    asked = command.Asked(viewers, posts, rate, seconds, learners, longest)
    command.run(asked, as_json=as_json)


@bench_app.command()
def recovery(
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Kills of each service.")] = 3,
    peer_session: Annotated[
        float, typer.Option(min=1, max=1800, help="Seconds of the peer's session.")
    ] = 45.0,
    as_json: Json = False,
) -> None:
    """Seconds from kill -9 of each service to its next useful output.

    All four services on servers as for `bench ingest`; each is started again at once, and alone
    at its work: nothing else is of its kind. The peer is a bare Kafka consumer, by default with its
    library's own settings.
    """
    from benchmarks import recovery as command

    command.run(command.Asked(repeats, peer_session), as_json=as_json)


@bench_app.command()
def growth(
    sizes: Annotated[
        str, typer.Option(metavar="N,…", help="How many completions the stores hold.")
    ] = "10000,100000,1000000,10000000",
    learners: Annotated[
        int, typer.Option(min=1, max=999_999, help="Whose they are, at most.")
    ] = 100_000,
    rate: Annotated[float, typer.Option(min=1, max=10_000, help="Predictions a second.")] = 50,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long, each time.")] = 20,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the figures, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a training, a prediction and the store cost as the history grows.

    A real trainer and a real inference on servers as for `bench ingest`, and a store for each size.
    Each size's peer is the smallest.
    """
    from benchmarks import growth as command

    asked = command.Asked(_sizes(sizes), learners, rate, seconds, plot)
    command.run(asked, as_json=as_json)


@bench_app.command()
def soak(
    seconds: Annotated[float, typer.Option(min=10, max=604_800, help="How long.")] = 7200,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Tasks a second.")] = 10,
    learners: Annotated[int, typer.Option(min=1, max=999_999, help="Who practise.")] = 2000,
    viewers: Annotated[int, typer.Option(min=0, max=1000, help="Live pages that are open.")] = 5,
    period: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds from a look at the memory to the next.")
    ] = 20,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the figures, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Memory of each service while learners practise for hours: does it grow?

    All four services on servers as for `bench ingest`; a training after every fifth task. The peer
    is each service itself at half time.
    """
    from benchmarks import soak as command

    asked = command.Asked(seconds, rate, learners, viewers, period, plot)
    command.run(asked, as_json=as_json)


def _sizes(words: str) -> list[int]:
    return _numbers("sizes", words, LEAST_ROWS, MOST_ROWS)


def _numbers(option: str, words: str, least: int, most: int) -> list[int]:
    """Raises BadParameter, exit code 2, for anything but whole numbers within bounds."""
    try:
        found = [int(word) for word in words.replace("_", "").split(",")]
    except ValueError:
        found = []
    if not found or not all(least <= number <= most for number in found):
        raise typer.BadParameter(
            f"--{option} takes whole numbers from {least} to {most}, with commas between."
        )
    return found


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(bench_app, name="bench")
