"""What arguments mean, read from the docstring that says it: for tables in the docs."""

import inspect


def meanings(docstring: str) -> dict[str, str]:
    r"""Read the meanings from the Args of a docstring.

    >>> meanings(meanings.__doc__ or "")
    {}
    >>> meanings("Do.\n\nArgs:\n    x: How far, in\n        metres.\n")
    {'x': 'How far, in metres.'}
    """
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(docstring).partition("Args:\n")[2].splitlines():
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        head, colon, rest = text.partition(": ")
        if indent == 4 and colon and head.isidentifier():
            name = head
            found[name] = rest
        elif indent == 8 and name:
            found[name] += f" {text}"
        elif text and indent == 0:
            break
    return found
