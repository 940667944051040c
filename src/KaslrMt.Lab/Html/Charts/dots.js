// Where modules lie in several boots: a row for each module, a symbol for each boot. Later boots are drawn smaller, so that none hides another.
"use strict";

function drawDots(chart, width) {
  const size = width < 560 ? 10.5 : 12;
  const short = (name) => shorten(name, width < 560 ? 16 : 28);
  const order = new Map(chart.boots.map((boot, i) => [boot.name, i]));
  const styles = new Map(chart.boots.map((boot) => [boot.name, boot.style]));
  const spans = d3.rollups(chart.dots, (dots) => ({ from: d3.min(dots, (dot) => dot.place), to: d3.max(dots, (dot) => dot.place) }), (dot) => dot.name)
    .map(([name, span]) => ({ name, ...span }));
  const shown = chart.boots.slice(0, 8);
  const marks = shown.map((boot) => Plot.dot(chart.dots.filter((dot) => dot.boot === boot.name), {
    x: "place", y: "name", symbol: of(symbols, boot.style), stroke: colourOf(boot.style), fill: "none", strokeWidth: 1.7,
    r: Math.max(2.4, 6.2 - order.get(boot.name) * 1.1),
  }));
  const svg = Plot.plot({
    ...frame(chart, width), height: 48 + chart.names.length * 17, marginTop: 4, marginBottom: 40, marginLeft: widest(chart.names.map(short), size) + 14, marginRight: 14,
    style: { ...frame(chart, width).style, fontSize: `${size}px` },
    x: { label: `${chart.across} →`, grid: true, ticks: width < 560 ? 4 : 8, labelAnchor: "right" },
    y: { domain: chart.names, label: null, tickSize: 0, tickFormat: short },
    marks: [
      Plot.ruleY(chart.names, { stroke: "#eef0f3" }),
      Plot.link(spans.filter((span) => span.to > span.from), { x1: "from", x2: "to", y: "name", stroke: "#b8bfc8", strokeWidth: 1.4 }),
      ...marks,
      Plot.tip(chart.dots, Plot.pointer({ x: "place", y: "name", title: (dot) => `${dot.name}\n${dot.boot}: ${dot.address}` })),
    ],
  });
  return [legend(shown.map((boot) => ({ name: boot.name, style: styles.get(boot.name), hollow: true, symbol: of(symbols, boot.style) })), "symbol"), svg];
}
