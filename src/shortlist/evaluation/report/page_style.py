"""How does a page look on a desk, on a phone, in the dark and on paper? Its style sheet, from the palettes."""

from __future__ import annotations

from shortlist.evaluation.report import svg
from shortlist.evaluation.report.palette import DARK, LIGHT, Palette

__all__ = ["page_style"]

_FIXED = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main,header,footer{max-width:1128px;margin:0 auto;padding:0 24px}
header{padding-top:56px}
.source{margin:0 0 12px;color:var(--muted);font-size:14px}
h1{margin:0 0 14px;max-width:26em;font:600 34px/1.18 ui-serif,Charter,"Iowan Old Style","Palatino Linotype",
Georgia,"DejaVu Serif",serif;letter-spacing:-.01em;text-wrap:balance}
.verdict{max-width:44em;margin:0 0 8px;font-size:18px}
nav{margin:22px 0 0;font-size:14px;line-height:2;color:var(--muted)}
nav a{margin-right:18px;white-space:nowrap}
a{color:var(--accent);text-underline-offset:3px;text-decoration-thickness:1px}
section{margin:52px 0 0;padding-top:22px;border-top:1px solid var(--line);scroll-margin-top:0}
h2{margin:0 0 16px;font:600 23px/1.25 ui-serif,Charter,"Iowan Old Style","Palatino Linotype",Georgia,
"DejaVu Serif",serif}
h3{margin:26px 0 8px;font-size:15px}
p{margin:0 0 12px;max-width:46em}
small,.key,figcaption{font-size:13px;color:var(--muted)}
.key{margin-top:12px}
code{font:.92em/1.4 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.35}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
th,td{padding:9px 0 9px 18px;text-align:right;vertical-align:baseline;border-bottom:1px solid var(--line);
white-space:nowrap;font-weight:400}
thead th{vertical-align:bottom;color:var(--muted);font-size:13px}
th:first-child{padding-left:0;text-align:left;white-space:normal;min-width:8.5em}
tbody th{font-weight:600}
tbody tr:hover>*{background:var(--raised)}
th small,td small{display:block;font-weight:400;font-size:11.5px;line-height:1.4}
tbody th small{display:inline;margin-left:4px}
td strong{font-weight:700}
.measure small{padding-right:14px}
.measure+td:not(.measure){padding-left:26px}
.sign{display:inline-block;width:14px;text-align:center;font-size:10px}
.up{color:var(--accent)}
.down{color:var(--down)}
.none{color:var(--muted)}
.second-left td:first-of-type,.second-left th:nth-child(2){text-align:left}
.breaking thead th{white-space:normal;min-width:5em;max-width:11em}
.queries th:first-child{max-width:30em}
.queries tbody th{font-weight:400}
.queries td,.queries tbody th{padding-top:5px;padding-bottom:5px}
figure{margin:0 0 8px}
figcaption{max-width:46em;margin-top:8px}
.chart{display:block;width:100%;height:auto;max-width:880px}
.chart.narrow{display:none}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:32px}
details{margin-top:14px}
summary{cursor:pointer;color:var(--accent);font-size:14px}
summary:focus-visible,a:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:3px}
details>.scroll,details>dl{margin-top:10px}
#disagreements details{margin:0;border-top:1px solid var(--line);padding:13px 0}
#disagreements details:last-child{border-bottom:1px solid var(--line)}
#disagreements summary{color:var(--ink);font-size:16px}
#disagreements summary small{margin-left:6px;white-space:normal}
.query{font-weight:600}
.columns{display:grid;grid-template-columns:repeat(auto-fill,minmax(270px,1fr));gap:16px 28px;margin-top:12px}
.hits h3{margin:0 0 4px;padding-bottom:4px;border-bottom:1px solid var(--line);font-size:13px;display:flex;
justify-content:space-between;gap:12px}
.hits h3 b{white-space:nowrap;font-weight:400;color:var(--muted)}
.hits ol{list-style:none;margin:0;padding:0;font-size:14px;line-height:1.4}
.hits li{position:relative;padding:3px 0 3px 28px}
.hits li .grade{position:absolute;left:0;top:4px}
.hits p{font-size:14px;color:var(--muted)}
.grade{display:inline-block;min-width:19px;padding:0 4px;border:1px solid var(--muted);border-radius:10px;
font-size:11px;line-height:17px;text-align:center;color:var(--muted);background:var(--paper)}
.grade.relevant{background:var(--accent);border-color:var(--accent);color:var(--paper);font-weight:700}
.grade.unjudged{border-style:dashed}
.findings{margin:0;padding:0;list-style:none;max-width:52em}
.findings li{padding:10px 0;border-bottom:1px solid var(--line)}
.findings code{font-weight:600}
.findings details{margin-top:4px}
.ids{margin:6px 0 0;font-size:13px}
dl{margin:0;display:grid;grid-template-columns:minmax(7em,max-content) minmax(0,46em);gap:7px 24px;font-size:15px}
dt{font-weight:600;max-width:17em}
dd{margin:0}
.facts dt{font-weight:400;color:var(--muted)}
footer{padding-top:36px;padding-bottom:48px;font-size:13px;color:var(--muted)}
@media (max-width:940px){.pair{grid-template-columns:1fr}.pair .chart{max-width:640px}}
@media (max-width:740px){
main,header,footer{padding-left:16px;padding-right:16px}
header{padding-top:28px}
h1{font-size:26px}
.verdict{font-size:16px}
nav{display:none}
section{margin-top:36px}
.chart.wide{display:none}
.chart.narrow{display:block;max-width:480px}
th,td{padding-left:14px}
th:first-child{min-width:7.5em;position:sticky;left:0;background:var(--paper)}
dl{grid-template-columns:1fr;gap:2px}
dd{margin:0 0 10px}
}
@media print{
@page{size:A4;margin:14mm}
:root{color-scheme:light}
body{font-size:10pt;line-height:1.4;background:none}
main,header,footer{max-width:none;padding:0}
header{padding-top:0}
h1{font-size:20pt}
h2{font-size:14pt}
.verdict{font-size:11pt}
nav,summary::marker{display:none}
section{margin:16pt 0 0;padding-top:0;border-top:0}
#differences,#disagreements,#queries,#method{break-before:page;margin-top:0}
h2,h3,summary{break-after:avoid}
figure{margin:0}
figcaption,.key{font-size:8pt;margin-top:4pt}
figure,tr,li,.hits,dl>*,#disagreements summary{break-inside:avoid}
thead{display:table-header-group}
.scroll{overflow:visible}
table{font-size:8pt;overflow-wrap:break-word}
.results{font-size:7.5pt}
thead th{font-size:7pt;white-space:normal}
th,td{padding:3pt 0 3pt 5pt}
th:first-child{min-width:0;overflow-wrap:anywhere}
.breaking thead th{min-width:0;overflow-wrap:anywhere}
small{font-size:8pt}
th small,td small{font-size:6.5pt}
.measure small{padding-right:0}
.measure{white-space:nowrap}
.chart.wide{display:block}
.chart.narrow{display:none}
.pair{display:block}
.pair figure{display:inline-block;width:48.5%;vertical-align:top}
.pair figure+figure{margin-left:2.5%}
summary{list-style:none;color:inherit;font-weight:600}
summary::-webkit-details-marker{display:none}
details:not([open])::details-content{content-visibility:visible;display:block;height:auto}
.columns{grid-template-columns:repeat(3,1fr);gap:8pt 14pt}
.hits ol,.hits p{font-size:8.5pt}
dl{font-size:9.5pt;grid-template-columns:8em 1fr}
.grade.relevant,.chart{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""


def page_style() -> str:
    """Give the rules of a page, those of its pictures among them."""
    light = f":root{{color-scheme:light dark;{_colours(LIGHT)}}}"
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{_colours(DARK)}}}}}"
    return f"{light}{dark}{svg.style()}{_FIXED.replace(chr(10), '')}"


def _colours(palette: Palette) -> str:
    return (
        f"--paper:{palette.paper};--raised:{palette.raised};--ink:{palette.ink};--muted:{palette.muted};"
        f"--line:{palette.line};--accent:{palette.accent};--down:{palette.down}"
    )
