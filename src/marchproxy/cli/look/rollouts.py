"""Rollouts as a table: where each stands, and every decision with what it rests on. No I/O."""

from collections.abc import Iterable, Mapping

from rich.text import Text

from marchproxy.cli.screen import Sheet, columns
from marchproxy.cli.standing import phase_text, style_of
from marchproxy.contract.pb import module_pb2, types_pb2


def rollouts(answers: Mapping[str, module_pb2.GetActiveVersionResponse]) -> Sheet:
    """The answers of the NLB and of every instance, by name."""
    rows = [
        row for name, answer in answers.items() for rollout in answer.rollouts for row in _rows(name, rollout)
    ]
    heads = columns("of", "version", "stands", "at", "share", "canary", "baseline", "#p", "why")
    return Sheet("Rollouts", heads, rows, "no version was promoted in steps")


def _rows(name: str, rollout: types_pb2.RolloutStatus) -> Iterable[tuple[str | Text, ...]]:
    """One for each decision, the newest first; the first of them says what it is about."""
    target = f"{name} {rollout.route_id or '*'}"
    stands: str | Text = phase_text(rollout.phase, rollout.percent)
    version = rollout.version
    for decision in reversed(rollout.decisions):
        share = f"{decision.percent_before} → {decision.percent_after} %"
        compared = bool(decision.baseline.requests and decision.canary.failures)
        yield (
            target,
            version,
            stands,
            decision.at.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC"),
            f"{decision.percent_after} %" if decision.verdict == "held" else share,
            _sample(decision.canary),
            _sample(decision.baseline),
            f"{decision.p_value:.2g}" if compared else "",
            Text(decision.reason, style=style_of(decision.verdict)),
        )
        target = version = stands = ""


def _sample(sample: types_pb2.RolloutSample) -> str:
    if not sample.requests:
        return "-"
    latency = f", p99 {sample.p99_latency_ms:.1f} ms" if sample.p99_latency_ms else ""
    return f"{sample.failures} of {sample.requests} failed{latency}"
