// Lines over the number of guests, each named at its end, and the paper's points.
"use strict";

function drawLines(chart, width) {
  const size = width < 560 ? 11 : 12.5;
  const height = Math.round(Math.max(300, Math.min(460, width * 0.46)));
  const names = chart.series.map((series) => series.name);
  const styleOf = new Map(chart.series.map((series) => [series.name, series.style]));
  const style = (point) => styleOf.get(point.series) ?? 0;
  const ends = names.flatMap((name) => chart.points.filter((point) => point.series === name).slice(-1));
  const text = (point) => `${shorten(point.series, width < 560 ? 22 : 34)} ${point.y.toFixed(1)}`;
  const theirs = (point) => `${chart.othersName}: ${shorten(point.series, 18)} ${point.y.toFixed(0)}`;
  const lastX = d3.max(chart.points, (point) => point.x) ?? 1;
  const theirEnds = chart.others.filter((point) => point.x === d3.max(chart.others, (other) => other.x));
  const room = Math.min(width * 0.4, widest([...ends.map(text), ...theirEnds.map(theirs)], size) + 20);
  const scale = 100 / (height - 60);
  const right = Math.max(lastX, d3.max(chart.others, (point) => point.x) ?? 0);
  const labels = apart([
    ...ends.map((point) => ({ x: point.x, y: point.y, text: text(point), style: style(point), bold: true })),
    ...theirEnds.map((point) => ({ x: point.x, y: point.y, text: theirs(point), style: style(point) })),
  ], scale * size * 1.4, 1, 101);
  return Plot.plot({
    ...frame(chart, width), height, marginLeft: 44, marginRight: room, marginTop: 24, marginBottom: 42,
    x: { label: chart.across, domain: [1, right], ticks: Math.min(right, width < 560 ? 5 : 10), tickFormat: "d", labelAnchor: "center" },
    y: { label: `↑ ${chart.up}`, domain: [0, 100], grid: true, ticks: 5 },
    symbol: { domain: names, range: chart.series.map((series) => of(symbols, series.style)) },
    marks: [
      Plot.ruleY([0], { stroke: faint }),
      ...names.map((name) => Plot.line(chart.points.filter((point) => point.series === name), {
        x: "x", y: "y", stroke: colourOf(styleOf.get(name)), strokeWidth: 2.2, strokeDasharray: of(dashes, styleOf.get(name)), curve: "monotone-x",
      })),
      // Symbols on some points only, or they hide the dashes; never on those of another line, so each series begins elsewhere.
      ...names.map((name, i) => Plot.dot(chart.points.filter((point) => point.series === name && ((point.x + 2 * i) % Math.max(1, Math.round(lastX / 6)) === 0 || point.x === lastX)), {
        x: "x", y: "y", symbol: of(symbols, styleOf.get(name)), fill: colourOf(styleOf.get(name)), stroke: "white", strokeWidth: 0.7, r: 4.6,
      })),
      Plot.dot(chart.others, { x: "x", y: "y", symbol: (point) => of(symbols, style(point)), stroke: (point) => colourOf(style(point)), fill: "white", strokeWidth: 1.8, r: 5 }),
      Plot.link(labels, { x1: "x", y1: "y", x2: right, y2: "at", dx: 0, stroke: faint, strokeOpacity: 0.35, insetStart: 6 }),
      Plot.text(labels.filter((label) => label.bold), { x: right, y: "at", text: "text", textAnchor: "start", dx: 11, fontWeight: 650, fill: ink, stroke: "white", strokeWidth: 3 }),
      Plot.text(labels.filter((label) => !label.bold), { x: right, y: "at", text: "text", textAnchor: "start", dx: 11, fill: faint, stroke: "white", strokeWidth: 3 }),
      Plot.tip(chart.points, Plot.pointer({ x: "x", y: "y", title: (point) => `${point.series}\n${point.x} guests: ${perCent(point.y)}` })),
    ],
  });
}
