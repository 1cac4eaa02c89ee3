"""How a page looks: light or dark as the reader's system is, on wide and narrow screens, and on paper."""

# colours of Okabe and Ito (2008), which all kinds of colour vision tell apart, a little darker on white
_LIGHT = """
--paper:#fff;--panel:#f5f6f8;--ink:#1b1e24;--muted:#555c68;--rule:#d8dce3;--strong:#fff;
--s0:#0068a8;--s1:#b94a00;--s2:#007a59;--s3:#9a4585;--s4:#7d6400;--s5:#1b1e24;
"""
_DARK = """
--paper:#14161a;--panel:#1d2026;--ink:#e7e9ed;--muted:#a5acb8;--rule:#363c46;--strong:#0d0f12;
--s0:#5ab6ec;--s1:#f2a03d;--s2:#3ccba3;--s3:#df9cc7;--s4:#ead94c;--s5:#e7e9ed;
"""
_RULES = """
:root{color-scheme:light dark;@LIGHT}
@media (prefers-color-scheme:dark){:root{@DARK}}
@media print{:root{color-scheme:light;@LIGHT}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
  font-variant-numeric:tabular-nums}
main{max-width:1152px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:20px;line-height:1.3;margin:0 0 4px}
h3{font-size:16px;margin:24px 0 8px;overflow-wrap:anywhere}
p{margin:0 0 12px;max-width:72ch}
.lead,.note,.none,footer{color:var(--muted)}
.none{border-left:3px solid var(--rule);padding-left:12px}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:16px 0 0;font-size:14px}
a{color:var(--s0)}
section{margin-top:40px;padding-top:20px;border-top:1px solid var(--rule)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0 0}
.tiles div{background:var(--panel);border-radius:8px;padding:10px 14px}
.tiles dt{font-size:14px;color:var(--muted)}
.tiles dd{margin:0;font-size:22px;font-weight:600;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(400px,100%),1fr));gap:20px 28px;
  margin-top:12px}
figure{margin:0;min-width:0}
figcaption{font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:14px;color:var(--muted);margin:2px 0 6px}
.legend span{display:inline-flex;align-items:center;gap:6px;overflow-wrap:anywhere}
.legend svg{width:26px;height:10px;flex:none}
svg{display:block;width:100%;height:auto;font:13px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
svg text{fill:var(--muted)}
svg .small{font-size:11px}
svg .mid{text-anchor:middle}
svg .end{text-anchor:end}
polyline{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
circle{fill:currentColor;stroke:transparent;stroke-width:12;pointer-events:all}
.grid{stroke:var(--rule);fill:none}
.axis{stroke:var(--muted);fill:none}
.change,.zero{stroke:var(--muted);stroke-dasharray:3 3;fill:none}
.mark{fill:var(--muted)}
.bars{fill:currentColor}
.s0{color:var(--s0)}
.s1{color:var(--s1)}
.s2{color:var(--s2)}
.s3{color:var(--s3)}
.s4{color:var(--s4)}
.s5{color:var(--s5)}
.d1 polyline,.d1.line{stroke-dasharray:7 4}
.d2 polyline,.d2.line{stroke-dasharray:2 4}
.line{stroke:currentColor;stroke-width:2;fill:none}
.rows{max-width:420px}
.charts.after{margin-top:24px}
.cell{fill:var(--panel)}
.right{fill:var(--s0)}
.wrong{fill:var(--s1)}
.matrix text{fill:var(--ink)}
.matrix .strong{fill:var(--strong)}
img{display:block;image-rendering:pixelated;background:var(--panel)}
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:22px 18px;margin-top:12px}
.mistakes img{width:100%;height:auto;border-radius:4px}
.mistakes figcaption{display:grid;grid-template-columns:repeat(2,auto);justify-content:space-between;gap:0 8px;
  font-weight:400;font-size:14px;line-height:1.4;margin-top:6px;overflow-wrap:anywhere}
.mistakes i{font-style:normal;font-size:13px;color:var(--muted)}
.mistakes i.all{grid-column:1/3}
.maps{display:flex;flex-wrap:wrap;gap:4px}
.maps img{width:56px;height:56px}
.maps img.large{width:112px;height:112px}
.maps .strip{max-width:100%;height:auto}
.scale{display:flex;align-items:center;gap:8px;font-size:14px;color:var(--muted);margin:8px 0}
.scale i{display:block;width:160px;height:12px;border-radius:2px}
.signed{background:linear-gradient(90deg,rgb(0,90,160),rgb(247,247,247),rgb(190,70,0))}
.rising{background:linear-gradient(90deg,rgb(68,1,84),rgb(59,81,139),rgb(33,144,141),rgb(92,200,99),rgb(253,231,37))}
.variables{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:20px 24px;
  margin-top:12px}
.variables figure{background:var(--panel);border-radius:8px;padding:10px 12px}
.variables figcaption{font-size:15px;overflow-wrap:anywhere}
.variables figcaption span{font-weight:400;color:var(--muted)}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:12px;font-size:13px;color:var(--muted);line-height:1.4}
.pair p{margin:0}
.pair svg{margin:4px 0}
.wide{overflow-x:auto;margin-top:12px}
table{border-collapse:collapse;font-size:15px}
th,td{text-align:left;padding:5px 24px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600}
td.n,th.n{text-align:right;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
td{overflow-wrap:break-word}
.layers td:nth-child(2){white-space:nowrap}
tr.sum td{font-weight:600}
@media(max-width:600px){svg.chart{font-size:15px}svg.matrix{font-size:14px}table{font-size:13px}th,td{padding-right:12px}}
pre{background:var(--panel);border-radius:8px;padding:12px 16px;overflow-x:auto;
  font:14px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:12px 0 0}
footer{margin-top:48px;font-size:14px}
"""

STYLE = _RULES.replace("@LIGHT", _LIGHT).replace("@DARK", _DARK)
