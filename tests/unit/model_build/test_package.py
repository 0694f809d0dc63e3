"""What a package's golden set may hold, and what its outputs make it good for."""

from pathlib import Path

import pytest
from linewatch_common.errors import PackageError
from linewatch_common.manifest import Preparation

from model_build.data.prepared import PreparedSet
from model_build.packaging.assemble import role_of
from model_build.packaging.golden import from_data
from tests.unit.model_build.runs import data_folder


@pytest.mark.parametrize("weak", [False, True])
def test_golden_pictures_of_a_set_in_which_nobody_drew_a_defect(weak: bool, tmp_path: Path) -> None:
    preparation = Preparation(width=32, height=24, resize="squash")
    data = PreparedSet.open(data_folder(tmp_path, good=4, defective=4, weak=weak))
    found = [candidate.defective for candidate in from_data(data, data.entries, preparation)]
    assert found == [False] * 4 + [True] * 4


def test_masks_that_nobody_judged_are_not_offered() -> None:
    assert role_of({"score", "mask"}, drawn=True) == "inspector"
    assert role_of({"score", "mask"}, drawn=False) == "classifier"
    with pytest.raises(PackageError, match="expected 'score' or 'mask' or both"):
        role_of({"logits"}, drawn=True)
