"""Sets one thread: small models need no more, and the bits of orthogonal tensors depend on the number."""

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
