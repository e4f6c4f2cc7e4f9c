/** Building blocks of reports: escaping, tables, key numbers, and the page around them. A page needs no other file. */

/** Text as HTML; file names and messages may contain any character. */
export function escapeHtml(value: unknown): string {
  return String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** 0.5 -> "0.500", 3 -> "3", null -> "–" */
export function number(value: unknown, digits = 3): string {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) >= 2) return String(value);
  return Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.001)
    ? value.toPrecision(digits)
    : value.toFixed(digits);
}

/** A table in a box that scrolls. `marked` rows, such as failures, are highlighted. */
export function table(
  head: readonly string[],
  rows: readonly (readonly unknown[])[],
  marked: (row: number) => boolean = () => false,
): string {
  const content = (value: unknown) => (typeof value === "number" || value === null ? number(value) : escapeHtml(value ?? "–"));
  const isNumber = (column: number) => rows.some((row) => typeof row[column] === "number");
  const mark = (column: number) => (isNumber(column) ? ' class="n"' : "");
  const body = rows
    .map(
      (row, r) =>
        `<tr${marked(r) ? ' class="bad"' : ""}>${row.map((value, i) => `<td${mark(i)}>${content(value)}</td>`).join("")}</tr>`,
    )
    .join("\n");
  const top = head.map((name, i) => `<th scope="col"${mark(i)}>${escapeHtml(name)}</th>`).join("");
  return `<div class="scroll" tabindex="0"><table><thead><tr>${top}</tr></thead><tbody>${body}</tbody></table></div>`;
}

export function section(id: string, title: string, content: string): string {
  return content === "" ? "" : `<section id="${id}"><h2>${escapeHtml(title)}</h2>\n${content}</section>`;
}

export function details(summary: string, content: string): string {
  return `<details><summary>${escapeHtml(summary)}</summary>${content}</details>`;
}

export function figure(content: string, caption: string): string {
  return `<figure>${content}<figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

/** Bars for shares of a whole, from 0 to 1. */
export function bars(rows: readonly { name: string; share: number; note: string }[]): string {
  const row = ({ name, share, note }: (typeof rows)[number]) =>
    `<div class="bar"><span>${escapeHtml(name)}</span><span class="track"><i style="width:${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%"></i></span><span class="note">${share.toFixed(2)} ${escapeHtml(note)}</span></div>`;
  return `<div class="bars">${rows.map(row).join("")}</div>`;
}

/** A key number in large type, with its name and its uncertainty. */
export function score(name: string, value: string, note: string): string {
  return `<div class="score"><div class="name">${escapeHtml(name)}</div><div class="value">${escapeHtml(value)}</div><div class="note">${escapeHtml(note)}</div></div>`;
}

const style = `
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5a6675;--line:#dde2e8;--page:#f6f7f9;--card:#fff;--accent:#0072b2;--warn:#8a4b00;--warnbg:#fff4e0}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9fabba;--line:#333c48;--page:#12161c;--card:#1b212a;--accent:#56b4e9;--warn:#ffc878;--warnbg:#33260f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 6px}h2{font-size:1.15rem;margin:0 0 14px}h3{font-size:1rem;margin:18px 0 8px}
.lead{color:var(--soft);margin:0 0 22px;max-width:75ch}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:0 0 16px}
.scores{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}
.score{border:1px solid var(--line);border-radius:8px;padding:10px 14px}
.score .name{color:var(--soft);font-size:.85rem}.score .value{font-size:1.75rem;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
.score .note{color:var(--soft);font-size:.8rem}
.scroll{overflow-x:auto;max-width:100%;margin:0 0 8px}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{color:var(--soft);font-weight:600;vertical-align:bottom;max-width:17ch}.n{text-align:right}td.n{white-space:nowrap}
td{max-width:46ch}
.bars{margin:0 0 14px;max-width:720px}.bar{display:grid;grid-template-columns:minmax(90px,170px) 1fr 118px;gap:12px;align-items:center;padding:3px 0;font-size:.88rem}
.track{background:var(--line);border-radius:3px;height:12px;overflow:hidden}.track i{display:block;height:100%;background:var(--accent)}.bar .note{color:var(--soft);font-variant-numeric:tabular-nums;white-space:nowrap}
.scores+.scroll{margin-top:14px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(300px,100%),1fr));gap:18px}
figure{margin:0 0 12px;min-width:0}figcaption{color:var(--soft);font-size:.85rem;margin-top:4px}
.chart{max-width:100%;height:auto;display:block}
img{max-width:100%;height:auto;display:block;border-radius:4px}
.warning{background:var(--warnbg);color:var(--warn);border-radius:6px;padding:8px 12px;margin:0 0 8px}
details{margin:8px 0 0}summary{cursor:pointer;color:var(--accent)}
.bad{color:var(--warn)}p{margin:0 0 10px}
footer{color:var(--soft);font-size:.82rem}
@media(max-width:520px){main{padding:18px 10px 40px}.bar{grid-template-columns:104px 1fr 84px;gap:8px}section{padding:14px 12px}h1{font-size:1.35rem}.score .value{font-size:1.45rem}.scores{grid-template-columns:1fr 1fr}}
@media print{body{background:#fff}section{break-inside:avoid;border-color:#ccc}}`;

export function page(title: string, lead: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,"><title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><main><h1>${escapeHtml(title)}</h1><p class="lead">${escapeHtml(lead)}</p>
${body}
</main></body></html>
`;
}
