from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.dashboard.bench import PageBench, page_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PageBench]:
    with page_bench(tmp_path) as made:
        yield made


@pytest.fixture
def client(bench: PageBench) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bench.url, timeout=20) as made:
        yield made
