"""Builds are small, and one thread is as fast for them; orthogonal bits depend on the number of threads."""

from __future__ import annotations

from typing import Iterator

import pytest
import torch
from stand_in import StandIn

torch.set_num_threads(1)


@pytest.fixture()
def service() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in
