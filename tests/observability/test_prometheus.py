"""Metrics as a Prometheus server reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import engine
from engine.observability.prometheus import EngineCollector, exposition, merged
from engine.runtime.lease import Lease
from engine.runtime.metrics import Metrics, StoreMeter
from engine.store.protocol import Backlog
from tests.definitions import machine, task


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """By name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def of_worker() -> Metrics:
    meter = StoreMeter(lambda event, **about: None)
    for size in (1, 3, 3, 1_000):
        meter.group_size.observe(size)
    meter.backlog = Backlog(parked=5, overdue=1_500)
    return Metrics(
        started=3,
        ended={"SUCCEEDED": 2, "FAILED": 1},
        tasks_ended={"succeeded": 4},
        missing={"arn:aws:states:::x": 2},
        store=meter.read(Lease(15), incarnations=2),
    )


def test_counts_and_gauges_have_their_labels():
    found = samples(exposition(EngineCollector(of_worker, ready=lambda: True)))
    assert found["asl_executions_started_total", ()] == 3
    assert found["asl_executions_ended_total", (("status", "FAILED"),)] == 1
    assert found["asl_tasks_ended_total", (("outcome", "succeeded"),)] == 4
    assert found["asl_missing_handler_total", (("resource", "arn:aws:states:::x"),)] == 2
    assert found["asl_executions_parked", ()] == 5
    assert found["asl_oldest_due_seconds", ()] == 1.5
    assert found["asl_lease_lost_total", ()] == 1
    assert found["asl_lease_margin_seconds", ()] == -15  # it was never confirmed
    assert found["asl_ready", ()] == 1
    assert found["process_cpu_seconds_total", ()] > 0


def test_a_histogram_is_cumulative():
    found = samples(exposition(EngineCollector(of_worker)))
    assert found["asl_group_size_bucket", (("le", "1.0"),)] == 1
    assert found["asl_group_size_bucket", (("le", "4.0"),)] == 3
    assert found["asl_group_size_bucket", (("le", "512.0"),)] == 3
    assert found["asl_group_size_bucket", (("le", "+Inf"),)] == 4
    assert (found["asl_group_size_count", ()], found["asl_group_size_sum", ()]) == (4, 1_007)
    assert ("asl_ready", ()) not in found


def test_what_was_not_asked_yet_is_not_shown():
    worker = of_worker()
    assert worker.store is not None
    worker = replace(worker, store=replace(worker.store, parked=None, oldest_due_seconds=None))
    assert ("asl_executions_parked", ()) not in samples(exposition(EngineCollector(lambda: worker)))


@pytest.mark.anyio
async def test_a_program_puts_its_engine_into_a_registry_of_its_own():
    registry = CollectorRegistry()
    async with engine.Engine.in_memory({"work": "mock:1"}) as one:
        registry.register(EngineCollector(one.metrics))
        await one.run(machine(task()))
        assert registry.get_sample_value("asl_executions_ended_total", {"status": "SUCCEEDED"}) == 1
        assert registry.get_sample_value("asl_tasks_ended_total", {"outcome": "succeeded"}) == 1
    assert registry.get_sample_value("asl_group_size_count") is None


def test_processes_stand_side_by_side_in_one_text():
    text = exposition(EngineCollector(of_worker)).decode()
    both = merged({"0": text, "1": text})
    found = samples(both)
    assert found["asl_executions_started_total", (("process", "0"),)] == 3
    assert found["asl_executions_ended_total", (("process", "1"), ("status", "FAILED"))] == 1
    assert found["asl_group_size_bucket", (("le", "4.0"), ("process", "1"))] == 3
    assert both.count(b"# TYPE asl_group_size histogram") == 1
    assert merged({}) == b""
