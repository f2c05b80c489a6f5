"""The code in docs/streaming.md runs as it stands; tests/e2e runs the example that needs a finished run."""

import re
from pathlib import Path

DOC = Path(__file__).parents[2] / "docs" / "streaming.md"


def test_the_examples_run():
    text = re.sub(r"## From a finished run\n.*?(?=\n## )", "", DOC.read_text(), flags=re.DOTALL)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), str(DOC), "exec"), {})
