"""Write the golden packets anew: ``python -m tests.golden.regenerate`` in the root of the repository.

Look at ``git diff --word-diff tests/golden`` afterwards: each change is a decision, or a record of
one, that comes out differently. Say why in a line of CHANGELOG.md.
"""

from tests.golden.scenario import GOLDEN, run

if __name__ == "__main__":
    before = GOLDEN.read_text(encoding="utf-8").splitlines() if GOLDEN.exists() else []
    after = run()
    GOLDEN.write_text(after, encoding="utf-8", newline="\n")
    lines = after.splitlines()
    changed = sum(old != new for old, new in zip(before, lines, strict=False)) + abs(len(before) - len(lines))
    print(f"{len(lines)} packets, {changed} changed; a change needs a line in CHANGELOG.md")
