"""How the report looks, by day and by night."""

CSS = """
:root{--ink:#1b1f24;--soft:#5d6672;--line:#dfe3e8;--paper:#fff;--card:#f7f8fa;--ref:#b9c0c9;--ref-line:#8d96a1;
--now:#0b69c7;--now-soft:#0b69c733;--bad:#b42318;--bad-soft:#fdecea;--good:#18794e;--good-soft:#e9f6ef;
--h0:#0b69c7;--h1:#b4540a;--h2:#5b3fb5;--h3:#0f7b6c;--h4:#a3195b;--h5:#6b6f00}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebef;--soft:#9aa4b1;--line:#2d343d;--paper:#12161b;--card:#1a2027;
--ref:#4a535f;--ref-line:#79838f;--now:#5ab0ff;--now-soft:#5ab0ff33;--bad:#ff8f85;--bad-soft:#3a1c1a;--good:#63d29b;
--good-soft:#15301f;--h0:#5ab0ff;--h1:#f2a65a;--h2:#b49cff;--h3:#5cd0bd;--h4:#ff8fbf;--h5:#d6d85a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1060px;margin:0 auto;padding:32px 28px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}h2{font-size:19px;margin:44px 0 6px}h3{font-size:15px;margin:0}
p{margin:4px 0 10px}.soft,figcaption,caption{color:var(--soft)}
.box{border-left:5px solid var(--good);background:var(--good-soft);border-radius:6px;padding:14px 18px;margin:18px 0}
.box.bad{border-color:var(--bad);background:var(--bad-soft)}.box h2{margin:0 0 4px}.box p{margin:2px 0}
.box dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:8px 0 0}.box dt{color:var(--soft)}
.box dd{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;margin:22px 0}
.tile{background:var(--card);border-radius:8px;padding:12px 16px}.tile b{display:block;font-size:24px;line-height:1.25}
.tile span{color:var(--soft);font-size:13.5px}.tile.bad b{color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:18px;margin:14px 0}
.card{border:1px solid var(--line);border-radius:8px;padding:12px 14px;margin:0;min-width:0}
.card.moved{border-color:var(--bad)}.card p{margin:2px 0 6px;font-size:13.5px;overflow-wrap:anywhere}
.card h3{overflow-wrap:anywhere}.mark{float:right;font-size:12.5px;color:var(--soft)}.moved .mark{color:var(--bad)}
.two{display:grid;grid-template-columns:minmax(260px,340px) 1fr;gap:28px;align-items:start}
figure{margin:10px 0}table{border-collapse:collapse;width:100%;margin:8px 0;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:4px 0}th,td{text-align:left;padding:6px 14px 6px 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
th{font-weight:500;color:var(--soft)}td.n,th.n{text-align:right;white-space:nowrap}.bad-text{color:var(--bad)}
.scroll{overflow-x:auto}details{margin:12px 0}summary{cursor:pointer;color:var(--soft)}
.key{display:flex;gap:18px;color:var(--soft);font-size:13.5px;flex-wrap:wrap}.key i{display:inline-block;width:14px;
height:10px;border-radius:2px;margin-right:6px}.key .a{background:var(--ref)}.key .b{background:var(--now)}
svg.drawing{display:block;width:100%;height:auto;font-size:12px}
svg text{fill:var(--soft)}svg .label{fill:var(--ink)}svg .axis{stroke:var(--ref-line)}svg .grid{stroke:var(--line)}
svg .level{stroke:var(--soft);stroke-dasharray:5 4}svg .trend{fill:none;stroke:var(--h0);opacity:.5}
svg path.reference{fill:var(--ref);stroke:var(--ref-line);opacity:.75}svg rect.reference{fill:var(--ref)}
svg path.window{fill:var(--now-soft);stroke:var(--now);stroke-width:1.8}svg rect.window{fill:var(--now)}
svg .whisker{stroke-width:1.6;opacity:.55}svg .rest{stroke:var(--ink);stroke-width:2}
svg .bar{opacity:.55}svg .worse{fill:var(--bad);stroke:var(--bad)}
""" + "".join(f"svg .hue{hue}{{fill:var(--h{hue});stroke:var(--h{hue})}}\n" for hue in range(6))
