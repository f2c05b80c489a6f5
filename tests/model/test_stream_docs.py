"""The code in docs/streaming.md runs as it stands."""

import re
from pathlib import Path

DOC = Path(__file__).parents[2] / "docs" / "streaming.md"


def test_the_examples_run():
    text = DOC.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), str(DOC), "exec"), {})
