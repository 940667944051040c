// What all charts have in common: colours, dashes, symbols and hatches that can be told apart without colour, and labels that do not collide.
"use strict";

// Okabe and Ito's palette without its yellow, which print loses.
const colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F"];
const dashes = ["none", "7 4", "2 3", "10 3 2 3", "5 2 1 2 1 2", "1 5", "14 4", "4 4"];
const symbols = ["circle", "square", "triangle", "diamond2", "star", "cross", "wye", "asterisk"];
const hatches = ["", "M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4", "M2,2 h.01 M6,6 h.01", "M-2,6 l4,4 M0,0 l8,8 M6,-2 l4,4", "M4,0 v8", "M0,4 h8", "M0,0 l8,8 M8,0 l-8,8", "M0,4 h8 M4,0 v8"];
const ink = "#1c2430";
const faint = "#6b7480";

const of = (list, style) => list[style % list.length];
const colourOf = (style) => of(colours, style);
const perCent = (value) => `${value.toFixed(1)} %`;

// What every chart is drawn with. One class name for all: their sheets are the same.
const frame = (chart, width) => ({
  width,
  className: "plot",
  ariaLabel: chart.label,
  style: { fontFamily: "inherit", fontSize: width < 560 ? "11px" : "12.5px", color: ink, background: "transparent", overflow: "visible" },
});

// Fills for the series of a chart: a colour, and white lines over it from the second series on. A mark, so that it lies inside the drawing.
let hatchings = 0;
function hatching(styles) {
  const prefix = `hatch-${++hatchings}-`;
  const fill = (style) => `url(#${prefix}${style})`;
  const mark = () => {
    const defs = d3.create("svg:defs");
    for (const style of new Set(styles)) {
      const pattern = defs.append("pattern").attr("id", prefix + style).attr("patternUnits", "userSpaceOnUse").attr("width", 8).attr("height", 8);
      pattern.append("rect").attr("width", 8).attr("height", 8).attr("fill", colourOf(style));
      pattern.append("path").attr("d", of(hatches, style)).attr("stroke", "white").attr("stroke-width", of(hatches, style).includes(".01") ? 3 : 1.6).attr("stroke-linecap", "round").attr("stroke-opacity", 0.8).attr("fill", "none");
    }
    return defs.node();
  };
  return { fill, mark };
}

// Moves labels up and down until they are a gap apart, and keeps their order.
function apart(labels, gap, least, most) {
  const sorted = [...labels].sort((a, b) => a.y - b.y).map((label) => ({ ...label, at: label.y }));
  for (let round = 0; round < 60; round++) {
    for (let i = 1; i < sorted.length; i++) {
      const lack = gap - (sorted[i].at - sorted[i - 1].at);
      if (lack > 1e-6) {
        sorted[i].at += lack / 2;
        sorted[i - 1].at -= lack / 2;
      }
    }
    for (const label of sorted) label.at = Math.min(most, Math.max(least, label.at));
  }
  return sorted;
}

// The width that the longest of some words takes.
function widest(words, size) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(Math.max(0, ...words.map((word) => context.measureText(word).width)));
}

// At most so many characters of what somebody else named.
const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
