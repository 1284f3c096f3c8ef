"""Write what tests have found into pages of the documentation."""


def write_between(page, mark, lines):
    """Replace the lines between `<!-- mark -->` and `<!-- /mark -->` in a file."""
    first, last = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    with open(page, encoding="utf-8") as handle:
        text = handle.read()
    begin, end = text.index(first) + len(first), text.index(last)
    with open(page, "w", encoding="utf-8") as handle:
        handle.write("\n".join([text[:begin], *lines, text[end:]]))
