"""What numbers were taken on is told wherever they are taken."""

from __future__ import annotations

from benchmarks.machine import peak_memory, processor, versions


def test_the_processor_has_a_name_wherever_the_system_keeps_it(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("vendor_id : x\nmodel name\t: A Processor 3000\nmodel name\t: A Processor 3000\n")
    assert processor(file) == "A Processor 3000"
    assert processor(tmp_path / "none")


def test_versions_are_those_of_python_and_the_packages():
    assert versions(["torch"]).startswith("python 3.") and ", torch 2." in versions(["torch"])


def test_memory_that_was_held_counts():
    before = peak_memory()
    held = bytearray(round(2e8 + 1e6 * before))
    assert peak_memory() >= len(held) / 1e6
