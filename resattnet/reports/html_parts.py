"""What the pages of reports are made of: the style sheet, and tables and texts as HTML."""

import html

STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --soft: #5b6570; --line: #d9dee3; --page: #fff; --card: #f6f8fa;
  %(light)s }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ec; --soft: #9aa5b1; --line: #363d45; --page: #14181c;
  --card: #1d2329; %(dark)s } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: break-word }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem } h4 { font-size: 1rem; margin: 1rem 0 .25rem }
p, figcaption, .soft { color: var(--soft) }
.soft { font-weight: 400 }
p { margin: .25rem 0 .75rem; max-width: 60rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
th { font-weight: 600 } thead th { min-width: 7rem; overflow-wrap: anywhere } thead th.n { min-width: 0 }
td.n, th.n { text-align: right; white-space: nowrap; overflow-wrap: normal }
code { font: .875em ui-monospace, Menlo, Consolas, monospace; white-space: nowrap }
summary { cursor: pointer; padding: .25rem 0 }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; list-style: none; padding: 0; margin: 0 0 1rem }
.mark { display: inline-block; width: 1.25em }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%%, 26rem), 1fr)); gap: 1rem }
figure { margin: 0 } .charts figure, .card { background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .75rem 1rem }
.card { margin-top: 1.5rem } .card h3 { margin-top: 0 }
.charts h3 { margin: 0 } svg { display: block; width: 100%%; height: auto; color: var(--text) }
svg * { stroke-linejoin: round; stroke-linecap: butt }
svg text { fill: currentColor; font-family: system-ui, sans-serif !important }
svg image { image-rendering: pixelated }
.outcome { display: grid; grid-template-columns: minmax(0, 34rem) minmax(0, 1fr); gap: 1rem 2rem }
.many { grid-template-columns: 1fr }
@media (max-width: 50rem) { .outcome { grid-template-columns: 1fr } body { padding: 1rem } }
.bar { display: block; min-width: 1px; height: .3rem; border-radius: .15rem }
.track { display: block; width: 8rem }
.hard { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .75rem; padding: 0;
  list-style: none; margin: .5rem 0 }
.hard img { display: block; width: 6rem; height: 6rem; object-fit: contain; image-rendering: pixelated;
  border-radius: .25rem; margin-bottom: .25rem }
.hard figcaption { font-size: .8125rem; line-height: 1.35 } .hard strong { color: var(--text) }
"""


def escape(text):
    """Text as HTML, also within an attribute."""
    return html.escape(str(text), quote=True)


def table(head, rows, caption="", numbers=()):
    """An HTML table; the head is text, cells are HTML, the first of a row is its title.

    `numbers` are the places of the columns that are set to the right.
    """

    def cells(row, tag):
        return "".join(
            "<{0}{1}{2}>{3}</{0}>".format(
                tag if place else "th",
                f' scope="{("col" if tag == "th" else "row")}"' if tag == "th" or not place else "",
                ' class="n"' * (place in numbers),
                cell,
            )
            for place, cell in enumerate(row)
        )

    return '<div class="wide"><table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'.format(
        f"<caption>{escape(caption)}</caption>" if caption else "",
        cells(map(escape, head), "th"),
        "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows),
    )


def folded(summary, content, opened=False):
    """HTML that is folded away under a line of text."""
    return f"<details{' open' * opened}><summary>{escape(summary)}</summary>{content}</details>"


def duration(seconds):
    """Seconds as a person says them."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return "%d min %02d s" % divmod(whole, 60)
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
