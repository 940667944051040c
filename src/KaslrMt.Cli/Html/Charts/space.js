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
  const may = regions.map((region) => `${region} may`);
  const lanes = [...may, ...chart.lanes];
  const short = (lane) => shorten(lane, 24);
  const text = (box) => `${box.region}, ${box.shared ? "tenant's" : "own"}`;
  const inner = width - widest(lanes.map(short), size) - 40;
  const fits = (box) => ((box.end - box.from) / (chart.to - chart.from)) * inner > widest([text(box)], size) + 14;
  const beside = (box) => !fits(box);
  const left = (box) => ((box.from - chart.from) / (chart.to - chart.from)) > 0.6;
  const colourBox = (box) => colourOf(colour.get(box.region));
  const common = { y: "lane", rx: 2.5, insetTop: 2, insetBottom: 2 };
  return Plot.plot({
    ...frame(chart, width), height: 46 + lanes.length * 30, marginTop: 6, marginBottom: 40, marginLeft: widest(lanes.map(short), size) + 16, marginRight: 24,
    x: { label: `${chart.across} →`, domain: [chart.from, chart.to], ticks: width < 560 ? 4 : 8, labelAnchor: "right" },
    y: { domain: lanes, label: null, tickSize: 0, tickFormat: short, padding: 0.08 },
    color: { type: "identity" },
    marks: [
      patterns,
      Plot.barX(chart.lanes, { x1: chart.from, x2: chart.to, y: (lane) => lane, fill: "#f2f4f7", insetTop: 2, insetBottom: 2 }),
      Plot.barX(chart.windows, { x1: "from", x2: "to", y: (window) => `${window.region} may`, fill: colourBox, fillOpacity: 0.16, stroke: colourBox, strokeDasharray: "4 3", insetTop: 8, insetBottom: 8, rx: 2.5 }),
      Plot.barX(boxes, { x1: "from", x2: "end", fill: (box) => (box.shared ? colourBox(box) : `url(#${prefix}${colour.get(box.region)})`), stroke: colourBox, strokeWidth: 1.4, ...common }),
      Plot.text(boxes.filter(fits), { x: (box) => (box.from + box.end) / 2, y: "lane", text, fill: ink, fontWeight: 600, stroke: "white", strokeWidth: 4 }),
      ...(regions.length === 1 || width >= 760 ? [
        Plot.text(boxes.filter((box) => beside(box) && !left(box)), { x: "end", y: "lane", text, textAnchor: "start", dx: 6, fill: ink, fontWeight: 600, stroke: "white", strokeWidth: 4 }),
        Plot.text(boxes.filter((box) => beside(box) && left(box)), { x: "from", y: "lane", text, textAnchor: "end", dx: -6, fill: ink, fontWeight: 600, stroke: "white", strokeWidth: 4 }),
      ] : []),
      Plot.tip(boxes, Plot.pointer({ x: (box) => (box.from + box.end) / 2, y: "lane", title: (box) => `${box.lane}\n${box.region} at ${box.base}\n${box.shared ? "the tenant's: all its VMs have it here" : "this VM's own"}` })),
    ],
  });
}
