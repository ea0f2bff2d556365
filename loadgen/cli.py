"""``honua-load``: the embedded stack, the observer, the audit, the topology's schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import loadgen
from loadgen import console
from loadgen.errors import InputError

if TYPE_CHECKING:
    from loadgen.measure.audit_types import AuditResult
    from loadgen.sink.settings import Sampler

SETTLE_S = 5.0

# Rooms are imported by the command that needs them: `--help` has to answer in a blink.


@click.group("honua-load", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(loadgen.__version__, prog_name="honua-load")
def cli() -> None:
    """Observe and account for trace load; the load itself is sent by Locust.

    \b
    Send it:    locust -f scenarios/deploy.py --rate 20/s --run-time 30s --headless
    Options:    locust -f scenarios/deploy.py --help-load
    Plan:       honua-plan --traffic 1000rps
    Report:     honua-report RUN --out run.html
    """  # noqa: D301  (click's own mark for lines to be left as they are)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4318, show_default=True, type=click.IntRange(0, 65535), help="OTLP/HTTP; 0 picks one.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder for its blocks; else a temporary one.")
@click.option("--collector-config", type=click.Path(path_type=Path), help="Take the sampler of this configuration.")
@click.option("--memory-limit", default=512, show_default=True, type=click.IntRange(16), help="MiB; refuses above.")
def sink(host: str, port: int, data_dir: Path | None, collector_config: Path | None, memory_limit: int) -> None:
    """Run the embedded stack: OTLP in, exact sampler, Parquet blocks, metrics.

    It stands in for Collector and Tempo in demonstrations and tests. It is not a backend, and its own
    memory and CPU say nothing about one.
    """
    from loadgen.sink import SinkSettings, run_sink

    sampler, described = _head_sampler(collector_config)
    settings = SinkSettings(
        host=host, port=port, data_dir=data_dir, sampling=sampler, memory_limit_bytes=memory_limit << 20
    )

    def ready(url: str) -> None:
        click.echo(f"embedded stack at {url}: OTLP/HTTP in, {described}; metrics at {url}/metrics; Ctrl-C ends it")

    run_sink(settings, ready)


def _head_sampler(config: Path | None) -> tuple[Sampler | None, str]:
    """The head sampler of a configuration, by default of 10 %, and its description."""
    from loadgen.samplers import HeadSampler, pipeline_from_config

    if config is None:
        sampler = HeadSampler(10, hash_seed=22)
        return sampler, sampler.describe()
    pipeline = pipeline_from_config(_text(config, "--collector-config"), str(config))
    if pipeline.tails or len(pipeline.heads) > 1:
        raise InputError(str(config), ", ".join(pipeline.describe()), "must have one head sampler at most for the sink")
    return next(iter(pipeline.heads), None), pipeline.describe()[0]


def _text(path: Path, place: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(place, str(path), "must be a readable text file") from error


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--collector-metrics", help="The Collector's metrics page, e.g. http://localhost:8888/metrics.")
@click.option("--tempo-metrics", help="Tempo's metrics page, e.g. http://localhost:3200/metrics.")
@click.option("--pid", "pids", multiple=True, type=int, help="Also watch this process's memory and CPU; repeatable.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between scrapes.")
def observe(run: Path, collector_metrics: str, tempo_metrics: str, pids: tuple[int, ...], interval: float) -> None:
    """Scrape Collector and Tempo into the file of RUN until it is told to stop.

    ``locust ... --observe`` starts this by itself.
    """
    from loadgen.measure.observe import run_observer

    run_observer(run, collector_metrics, tempo_metrics, pids, interval)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--collector-config", type=click.Path(path_type=Path), help="The Collector's configuration file.")
@click.option("--observed", required=True, help="Where they should be: URL of sink or Tempo, blocks, or a file.")
@click.option("--wait", default=60, show_default=True, help="Seconds to look again while Tempo has not settled.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def audit(run: Path, collector_config: Path | None, observed: str, *, wait: int, as_json: bool) -> None:
    """Compare what arrived with the exact set of traces that RUN and the sampler let expect.

    Without --collector-config the configuration recorded with the run decides; without any, every trace
    must arrive. Exit code 0 when they agree, 1 when they do not.
    """
    import json
    import time

    from loadgen.measure.audit import audit_run
    from loadgen.measure.audit_text import audit_lines

    deadline_s = time.monotonic() + wait

    def unsettled(result: AuditResult) -> bool:
        """Tempo finds a span by query some ten seconds after it took it; only a store that lists all is final."""
        if result.holds or result.exhaustive or time.monotonic() >= deadline_s:
            return False
        click.echo(f"not settled: {result.unexplained_spans:,} spans not accounted for yet, looking again", err=True)
        time.sleep(SETTLE_S)
        return True

    config = _text(collector_config, "--collector-config") if collector_config else None
    result = audit_run(run, config, observed, place=str(collector_config), again=unsettled)
    click.echo(json.dumps(result.as_dict(), indent=2) if as_json else "\n".join(audit_lines(result)))
    raise SystemExit(0 if result.holds else 1)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of topology files, for editors."""
    import json

    from loadgen.topology import topology_schema

    click.echo(json.dumps(topology_schema(), indent=2))


@cli.command()
@click.option("--out", "folder", default="out", show_default=True, type=click.Path(path_type=Path), help="For reports.")
@click.option("--seconds", default=30, show_default=True, type=click.IntRange(5, 600), help="Length of the load.")
def demo(folder: Path, seconds: int) -> None:
    """Run the main job on the embedded stack: load, audit, plan, report."""
    from loadgen.stack.demo import run_demo

    raise SystemExit(run_demo(folder, seconds))


def main() -> None:
    """The entry point."""
    console.run(cli)


if __name__ == "__main__":
    main()
