"""The subscriber shown in docs/integration.md works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from linewatch_common.messages import encode, examples

from localcore.client import LocalCore
from localcore.testing import running_core, wait_until

PAGE = Path(__file__).resolve().parents[3] / "docs/integration.md"


def test_the_subscriber_of_the_page_prints_a_verdict(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert code is not None
    assert len(code[1].strip().splitlines()) <= 20
    printed = tmp_path / "printed"
    with running_core() as core, printed.open("wb") as output:
        environment = {
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(core.layout.socket),
            "SVCUID": core.layout.cli_token.read_text(),
            "PATH": "/usr/bin:/bin",
        }
        subscriber = subprocess.Popen([sys.executable, "-c", code[1]], env=environment, stdout=output)
        try:
            # Until it has subscribed, nobody hears what is published: say it again.
            wait_until(lambda: _published_and_printed(core.client, printed))
            core.restart_daemon()
            assert subscriber.wait(20) == 1, "the runtime starts a subscriber that lost the core anew"
        finally:
            subscriber.kill()
            subscriber.wait()
    assert printed.read_text().splitlines()[0] == "part-0042 fail score 0.930 >= 0.600 (fail), 1 defect found"


def _published_and_printed(core: LocalCore, printed: Path) -> bool:
    core.publish("linewatch/line1/verdicts", encode(examples.VERDICTS[0]))
    return bool(printed.read_text())
