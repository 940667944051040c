// The address space: above, where each region may lie; below, a lane for each VM with its regions. Filled is the tenant's, hatched is the VM's own.
"use strict";

function drawSpace(chart, width) {
  const size = width < 560 ? 11 : 12.5;
  const regions = chart.windows.map((window) => window.region);
  const colour = new Map(regions.map((region, i) => [region, regions.length > 1 ? i : { "kernel-virtual": 3, modules: 4, "kernel-physical": 5 }[region] ?? 0]));
  const least = (chart.to - chart.from) / 160;
  const boxes = chart.boxes.map((box) => ({ ...box, end: Math.max(box.to, box.from + least) }));
  const prefix = `own-${++hatchings}-`;
  const patterns = () => {
    const defs = d3.create("svg:defs");
    for (const region of regions) {
      const pattern = defs.append("pattern").attr("id", prefix + colour.get(region)).attr("patternUnits", "userSpaceOnUse").attr("width", 6).attr("height", 6).attr("patternTransform", "rotate(45)");
      pattern.append("rect").attr("width", 6).attr("height", 6).attr("fill", "white");
      pattern.append("rect").attr("width", 2.4).attr("height", 6).attr("fill", colourOf(colour.get(region)));
    }
    return defs.node();
  };
  const may = regions.map((region) => `${region} may lie`);
  const lanes = [...may, ...chart.lanes];
  const short = (lane) => shorten(lane, 24);
  const marginLeft = widest(lanes.map(short), size) + 16;
  const texts = (box) => [`${box.region}, ${box.shared ? "tenant's" : "own"}`, box.region];
  const marginRight = regions.length === 1 ? 24 : Math.min(width * 0.2, widest(boxes.map((box) => texts(box)[0]), size) + 16);
  const pixels = (value) => ((value - chart.from) / (chart.to - chart.from)) * (width - marginLeft - marginRight);

  // A region's name stands in its box or, where it does not fit, in the wider of the gaps beside it; in neither, the row above the lanes has its colour.
  const taken = boxes.map((box) => ({ box, lane: box.lane, from: pixels(box.from), end: pixels(box.end) }));
  const named = boxes.map((box) => {
    const others = taken.filter((other) => other.lane === box.lane && other.box !== box);
    const [from, end] = [pixels(box.from), pixels(box.end)];
    const right = Math.min(width - marginLeft, ...others.filter((other) => other.from >= end).map((other) => other.from)) - end;
    const left = from - Math.max(0, ...others.filter((other) => other.end <= from).map((other) => other.end));
    for (const text of texts(box)) {
      const room = widest([text], size) * 1.06 + 12;
      if (end - from > room) return { ...box, text, at: (box.from + box.end) / 2, side: "middle" };
      if (Math.max(left, right) > room) {
        taken.push(right >= left ? { lane: box.lane, from: end, end: end + room } : { lane: box.lane, from: from - room, end: from });
        return right >= left ? { ...box, text, at: box.end, side: "start" } : { ...box, text, at: box.from, side: "end" };
      }
    }
    return null;
  }).filter((box) => box !== null);
  const colourBox = (box) => colourOf(colour.get(box.region));
  const common = { y: "lane", rx: 2.5, insetTop: 2, insetBottom: 2 };
  return Plot.plot({
    ...frame(chart, width), height: 46 + lanes.length * 30, marginTop: 6, marginBottom: 40, marginLeft, marginRight,
    x: { label: `${chart.across} →`, domain: [chart.from, chart.to], ticks: width < 560 ? 4 : 8, labelAnchor: "right" },
    y: { domain: lanes, label: null, tickSize: 0, tickFormat: short, padding: 0.08 },
    color: { type: "identity" },
    marks: [
      patterns,
      Plot.barX(chart.lanes, { x1: chart.from, x2: chart.to, y: (lane) => lane, fill: "#f2f4f7", insetTop: 2, insetBottom: 2 }),
      Plot.barX(chart.windows, { x1: "from", x2: "to", y: (window) => `${window.region} may lie`, fill: colourBox, fillOpacity: 0.16, stroke: colourBox, strokeDasharray: "4 3", insetTop: 8, insetBottom: 8, rx: 2.5 }),
      Plot.barX(boxes, { x1: "from", x2: "end", fill: (box) => (box.shared ? colourBox(box) : `url(#${prefix}${colour.get(box.region)})`), stroke: colourBox, strokeWidth: 1.4, ...common }),
      ...["middle", "start", "end"].map((side) => Plot.text(named.filter((box) => box.side === side), {
        x: "at", y: "lane", text: "text", textAnchor: side, dx: { middle: 0, start: 6, end: -6 }[side], fill: ink, fontWeight: 600, stroke: "white", strokeWidth: 5,
      })),
      Plot.tip(boxes, Plot.pointer({ x: (box) => (box.from + box.end) / 2, y: "lane", title: (box) => `${box.lane}\n${box.region} at ${box.base}\n${box.shared ? "the tenant's: all its VMs have it here" : "this VM's own"}` })),
    ],
  });
}
