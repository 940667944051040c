// Bars in groups, and pairs of points; both with their numbers written beside them.
"use strict";

function drawBars(chart, width) {
  const size = width < 560 ? 11 : 12.5;
  const styles = chart.parts.map((part) => part.style);
  const { fill, mark } = hatching(styles);
  const names = [...new Set(chart.bars.map((bar) => bar.name))];
  const groups = [...new Set(chart.bars.map((bar) => bar.group))];
  const grouped = groups.length > 1;
  const stacked = chart.bars.some((bar) => bar.values.length > 1);
  const short = (name) => shorten(name, width < 560 ? 14 : 34);
  const pieces = chart.bars.flatMap((bar) => {
    let from = 0;
    return bar.values.map((value, i) => ({ ...bar, from, to: (from += value), fill: fill(styles[(bar.part + i) % styles.length]), what: chart.parts[(bar.part + i) % styles.length].name, value }));
  });
  const ends = chart.bars.map((bar) => ({ ...bar, end: d3.sum(bar.values) }));
  const most = chart.most ?? (d3.max(ends, (bar) => bar.end) || 1);
  const row = names.length > 5 ? 17 : 22;
  const groupGap = 14;
  const height = 46 + groups.length * (names.length * row + (grouped ? groupGap : 0));
  const marginLeft = widest(names.map(short), size) + 14;
  const marginRight = widest(ends.map((bar) => bar.text), size) + 14;
  const groupRoom = grouped ? widest(groups.map(short), size) + 16 : 0;
  const svg = Plot.plot({
    ...frame(chart, width), height, marginTop: 6, marginBottom: 40, marginLeft: marginLeft + groupRoom, marginRight,
    x: { label: `${chart.across} →`, domain: [0, most], grid: true, ticks: width < 560 ? 4 : 6, labelAnchor: "right" },
    y: { domain: names, axis: null, padding: 0.14 },
    fy: { domain: groups, axis: null, padding: grouped ? groupGap / (names.length * row + groupGap) : 0 },
    color: { type: "identity" },
    marks: [
      mark,
      Plot.barX(pieces, { x1: "from", x2: "to", y: "name", fy: "group", fill: "fill", stroke: "white", strokeWidth: stacked ? 1 : 0 }),
      Plot.ruleX([0], { stroke: ink }),
      Plot.text(ends, { x: "end", y: "name", fy: "group", text: "text", textAnchor: "start", dx: 6, fill: ink, fontVariant: "tabular-nums" }),
      Plot.text(ends, { x: 0, y: "name", fy: "group", text: (bar) => short(bar.name), textAnchor: "end", dx: -8, fill: ink }),
      ...(grouped ? [Plot.text(groups, { fy: (group) => group, frameAnchor: "left", text: (group) => short(group), textAnchor: "start", dx: -marginLeft - groupRoom + 2, fontWeight: 650, fill: ink })] : []),
      Plot.tip(pieces, Plot.pointer({ x: "to", y: "name", fy: "group", title: (piece) => (stacked ? `${piece.name}\n${piece.what}: ${piece.value.toFixed(1)}` : `${piece.group} ${piece.name}\n${piece.text}`) })),
    ],
  });
  return stacked ? [legend(chart.parts, "bar"), svg] : [svg];
}

function drawPairs(chart, width) {
  const narrow = width < 640;
  const size = width < 560 ? 11 : 12.5;
  const rows = chart.rows.map((row, i) => ({ ...row, key: String(i), text: narrow ? shorten(row.group, 14) : `${row.group}: ${row.name}` }));
  const names = narrow ? rows.map((row) => row.name) : [];
  const row = narrow ? 44 : 27;
  const marginLeft = narrow ? 10 : widest(rows.map((each) => each.text), size) + 16;
  const measured = rows.filter((each) => each.value !== null);
  const theirs = { stroke: colours[1], fill: "white", strokeWidth: 2, r: 5, symbol: "diamond2" };
  const points = [{ name: chart.left, style: 1, hollow: true }, { name: chart.right, style: 0 }];
  const dy = narrow ? 9 : 0;
  return [legend(points, "symbol"), Plot.plot({
    ...frame(chart, width), height: 50 + rows.length * row, marginTop: 8, marginBottom: 40, marginLeft, marginRight: 30,
    x: { label: "equal pages, per cent →", domain: [0, 100], grid: true, ticks: 5, labelAnchor: "right" },
    y: { domain: rows.map((each) => each.key), axis: null },
    marks: [
      Plot.ruleX([0], { stroke: faint }),
      Plot.ruleY(rows, { y: "key", x1: 0, x2: 100, stroke: "#e4e7eb", dy }),
      Plot.text(rows, narrow
        ? { x: 0, y: "key", text: (each, i) => `${each.group}: ${names[i]}`, textAnchor: "start", dx: 4, dy: -8, fill: ink, stroke: "white", strokeWidth: 3 }
        : { x: 0, y: "key", text: "text", textAnchor: "end", dx: -10, fill: ink }),
      Plot.link(measured, { x1: (each) => (each.low + each.high) / 2, x2: "value", y: "key", stroke: faint, strokeWidth: 1.3, strokeDasharray: "2 3", dy }),
      Plot.link(rows.filter((each) => each.high > each.low), { x1: "low", x2: "high", y: "key", stroke: colours[1], strokeWidth: 5, strokeLinecap: "round", dy }),
      Plot.dot(rows, { x: (each) => (each.low + each.high) / 2, y: "key", ...theirs, dy }),
      Plot.dot(measured, { x: "value", y: "key", fill: colours[0], stroke: "white", r: 5.5, dy }),
      Plot.tip(rows, Plot.pointer({ x: (each) => each.value ?? each.low, y: "key", title: (each) =>
        `${each.group}: ${each.name}\n${chart.left} ${each.low === each.high ? each.low : `${each.low} to ${each.high}`}, ${chart.right} ${each.value === null ? "nothing" : each.value.toFixed(1)} per cent` })),
    ],
  })];
}

// What is not named where it is drawn: swatches as the bars are filled, or symbols.
function legend(parts, as) {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const part of parts) {
    const item = document.createElement("li");
    const svg = d3.create("svg").attr("width", 20).attr("height", 14).attr("aria-hidden", "true");
    if (as === "bar") {
      const { fill, mark } = hatching([part.style]);
      svg.append(mark);
      svg.append("rect").attr("width", 20).attr("height", 14).attr("fill", fill(part.style));
    } else {
      const kind = { circle: d3.symbolCircle, square: d3.symbolSquare2 ?? d3.symbolSquare, triangle: d3.symbolTriangle, diamond2: d3.symbolDiamond2, star: d3.symbolStar, cross: d3.symbolCross, wye: d3.symbolWye, asterisk: d3.symbolAsterisk }[part.symbol ?? (part.hollow ? "diamond2" : "circle")];
      svg.append("path").attr("transform", "translate(10,7)").attr("d", d3.symbol(kind, 70)()).attr("fill", part.hollow ? "white" : colourOf(part.style)).attr("stroke", colourOf(part.style)).attr("stroke-width", 1.6);
    }
    item.append(svg.node(), document.createTextNode(shorten(part.name, 40)));
    list.append(item);
  }
  return list;
}
